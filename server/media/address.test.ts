import { expect, test } from "bun:test";
import { isPublic, ownAddresses } from "./address.ts";

const NONE: ReadonlySet<string> = new Set();

test.each([
  "127.0.0.1",
  "127.255.255.254",
  "0.0.0.0",
  "10.1.2.3",
  "172.16.0.1",
  "192.168.1.1",
  "100.64.0.1",
  "100.100.100.200", // Alibaba's metadata
  "169.254.169.254",
  "168.63.129.16",
  "192.0.0.192",
  "192.0.2.1",
  "198.18.0.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "::ffff:0:7f00:1",
  "0:0:0:0:0:ffff:a00:1",
  "64:ff9b::7f00:1",
  "64:ff9b::808:808",
  "64:ff9b:1::7f00:1",
  "2002:7f00:1::",
  "2001::1",
  "2001:db8::1",
  "fe80::1",
  "fe80::1%eth0",
  "fc00::1",
  "fd00:ec2::254", // Amazon's metadata
  "fec0::1",
  "ff02::1",
  "100::1",
  "4000::1",
  "localhost",
  "",
])("%s is inside", (address) => {
  expect(isPublic(address, NONE)).toBe(false);
});

test.each(["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"])(
  "%s is outside",
  (address) => {
    expect(isPublic(address, NONE)).toBe(true);
  },
);

test("an address of this machine is inside, however public it is", () => {
  expect(isPublic("8.8.8.8", new Set(["8.8.8.8"]))).toBe(false);
  expect(isPublic("::ffff:8.8.8.8", new Set(["8.8.8.8"]))).toBe(false);
  expect(ownAddresses().has("127.0.0.1")).toBe(true);
});
