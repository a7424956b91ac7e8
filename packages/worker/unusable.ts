// The one error that means: this model will never be served, however often one tries.

/** Why a model can never be loaded: the rest of a sentence that begins with its name, for the operator. */
export class UnusableModel extends Error {
  override readonly name = "UnusableModel";
}
