// What goes wrong for the operator, as opposed to a caller: one line that says what to do, never with a key in it.
export class AccountsError extends Error {
  override readonly name = "AccountsError";
}
