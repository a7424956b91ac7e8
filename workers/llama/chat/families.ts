// What the families of models do differently: the markers around tool calls and reasoning.
export interface Family {
  readonly name: string;
}
