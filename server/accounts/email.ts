// E-mail addresses of accounts: checked as far as an address can be without sending to it, and brought to one form where
// two spellings reach the same person.

import { domainToASCII } from "node:url";
import { AccountsError } from "./errors.ts";

/** RFC 5321 §4.5.3.1.3 allows 256 with the brackets around it. */
const LENGTH_MAX = 254;

/**
 * The address without spaces around it, otherwise as it was given.
 * @throws AccountsError when it cannot be an address
 */
export function checkEmail(text: string): string {
  const email = text.trim();
  if (email.length <= LENGTH_MAX && /^[^\s\p{C}@"<>,;]+@[^\s\p{C}@"<>,;]+$/u.test(email)) {
    const domain = domainToASCII(domainOf(email));
    if (/^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}$/.test(domain)) return email;
  }
  throw new AccountsError("An e-mail address must look like name@example.com.");
}

/**
 * One form for the spellings of one mailbox: letters in one case, the domain as the DNS has it, and without the "+tag" that
 * mailboxes commonly take. Dots stay: to most providers they make another mailbox.
 */
export function normaliseEmail(email: string): string {
  const local = email.slice(0, email.lastIndexOf("@")).normalize("NFKC").toLowerCase();
  // A local part that begins with "+" has nothing before its tag: it is a name.
  const plus = local.indexOf("+", 1);
  return `${plus < 0 ? local : local.slice(0, plus)}@${domainToASCII(domainOf(email))}`;
}

function domainOf(email: string): string {
  return email
    .slice(email.lastIndexOf("@") + 1)
    .toLowerCase()
    .replace(/\.$/, "");
}
