// Which addresses may be fetched from: public ones that are nobody's inside. A list of what is allowed, so that a range
// which the internet registries invent tomorrow is refused until somebody looks at it.

import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";

/** Inside a cloud although their numbers are public. Source: Azure's documentation of 168.63.129.16, read 2026-11-21. */
const INSIDE: ReadonlySet<string> = new Set(["168.63.129.16"]);

/** What the registries have given out for hosts so far (IANA IPv6 address space, read 2026-11-21). */
const GLOBAL_V6 = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Whether a host with this address is outside: unicast, of no special range (IANA special-purpose registries, as ipaddr.js
 * knows them), no address of this machine. IPv4 inside IPv6 is read as the IPv4 that it is; where a translator would unpack
 * it (NAT64, 6to4, Teredo) it is refused, because what lies behind is decided by somebody else.
 *
 * @param address as a resolver gives it, or the URL parser
 * @param own the addresses of this machine
 */
export function isPublic(address: string, own: ReadonlySet<string> = ownAddresses()): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== "unicast") return false;
  if (parsed instanceof ipaddr.IPv6 && !parsed.match(GLOBAL_V6)) return false;
  const plain = parsed.toString();
  return !INSIDE.has(plain) && !own.has(plain);
}

/** Addresses of this machine's interfaces: services that listen on all of them trust them as they trust loopback. */
export function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return new Set(all.map(({ address }) => (ipaddr.isValid(address) ? ipaddr.process(address).toString() : address)));
}
