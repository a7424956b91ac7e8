// For tests: reads a GBNF grammar the way llama.cpp does and writes random texts that it allows.

type Node =
  | { kind: "text"; text: string }
  | { kind: "set"; ranges: [number, number][]; negated: boolean }
  | { kind: "ref"; name: string }
  | { kind: "seq"; items: Node[] }
  | { kind: "alt"; options: Node[] }
  | { kind: "repeat"; item: Node; min: number; max: number };

/** A repeatable stream of chance. Source: mulberry32, T. Ettinger, public domain. */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param random 0 up to 1
 * @returns a function that writes one text; texts stay short: past some depth it takes the shortest way out
 */
export function createSampler(gbnf: string, random: () => number): () => string {
  const rules = new Map<string, Node>();
  for (const line of gbnf.split("\n")) {
    const found = /^([a-zA-Z0-9-]+) ::= (.*)$/.exec(line);
    if (found) rules.set(found[1]!, parse(found[2]!));
    else if (line !== "") throw new Error(`no rule: ${line}`);
  }
  const costs = costsOf(rules);

  function write(node: Node, steps: { left: number }): string {
    steps.left--;
    switch (node.kind) {
      case "text":
        return node.text;
      case "set":
        return pick(node.ranges, node.negated, random);
      case "ref":
        return write(rules.get(node.name)!, steps);
      case "seq":
        return node.items.map((item) => write(item, steps)).join("");
      case "alt": {
        const cheapest = node.options.reduce((a, b) => (costOf(b, costs) < costOf(a, costs) ? b : a));
        return write(steps.left < 0 ? cheapest : node.options[Math.floor(random() * node.options.length)]!, steps);
      }
      case "repeat": {
        let out = "";
        for (let count = 0; count < node.max; count++) {
          if (count >= node.min && (steps.left < 0 || random() < 0.3)) break;
          out += write(node.item, steps);
        }
        return out;
      }
    }
  }
  return () => write({ kind: "ref", name: "root" }, { left: 300 });
}

/** How much a rule writes at least, so that a long text can be brought to its end. */
function costsOf(rules: Map<string, Node>): Map<string, number> {
  const costs = new Map<string, number>();
  for (let changed = true; changed; ) {
    changed = false;
    for (const [name, node] of rules) {
      const cost = 1 + costOf(node, costs);
      if (cost < (costs.get(name) ?? Number.POSITIVE_INFINITY)) {
        costs.set(name, cost);
        changed = true;
      }
    }
  }
  for (const name of rules.keys()) if (!costs.has(name)) throw new Error(`the rule '${name}' never ends`);
  return costs;
}

function costOf(node: Node, costs: Map<string, number>): number {
  switch (node.kind) {
    case "ref":
      return costs.get(node.name) ?? Number.POSITIVE_INFINITY;
    case "seq":
      return node.items.reduce((sum, item) => sum + costOf(item, costs), 0);
    case "alt":
      return Math.min(...node.options.map((option) => costOf(option, costs)));
    case "repeat":
      return node.min === 0 ? 0 : node.min * costOf(node.item, costs);
    default:
      return 1;
  }
}

function pick(ranges: [number, number][], negated: boolean, random: () => number): string {
  if (!negated) {
    const [first, last] = ranges[Math.floor(random() * ranges.length)]!;
    // Mostly from the near end, where the letters are, and sometimes from anywhere.
    const span = random() < 0.8 ? Math.min(last - first, 25) : last - first;
    return String.fromCodePoint(first + Math.floor(random() * (span + 1)));
  }
  for (;;) {
    const code = 0x20 + Math.floor(random() * 0x60);
    if (!ranges.some(([first, last]) => first <= code && code <= last)) return String.fromCodePoint(code);
  }
}

function parse(body: string): Node {
  let at = 0;
  const node = alternatives();
  if (at < body.length) throw new Error(`cannot read '${body.slice(at, at + 40)}'`);
  return node;

  function alternatives(): Node {
    const options = [sequence()];
    while (body[at] === "|") {
      at++;
      options.push(sequence());
    }
    return options.length === 1 ? options[0]! : { kind: "alt", options };
  }

  function sequence(): Node {
    const items: Node[] = [];
    for (;;) {
      while (body[at] === " ") at++;
      if (at >= body.length || body[at] === "|" || body[at] === ")") break;
      items.push(counted(item()));
    }
    return items.length === 1 ? items[0]! : { kind: "seq", items };
  }

  function item(): Node {
    const char = body[at];
    if (char === '"') return literal();
    if (char === "[") return set();
    if (char === "(") {
      at++;
      const inner = alternatives();
      if (body[at++] !== ")") throw new Error("expected ')'");
      return inner;
    }
    const name = /^[a-zA-Z0-9-]+/.exec(body.slice(at, at + 120))?.[0];
    if (!name) throw new Error(`cannot read '${body.slice(at, at + 40)}'`);
    at += name.length;
    return { kind: "ref", name };
  }

  function counted(node: Node): Node {
    const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(body.slice(at, at + 24));
    if (!found) return node;
    at += found[0].length;
    if (found[0] === "*") return { kind: "repeat", item: node, min: 0, max: Number.POSITIVE_INFINITY };
    if (found[0] === "+") return { kind: "repeat", item: node, min: 1, max: Number.POSITIVE_INFINITY };
    if (found[0] === "?") return { kind: "repeat", item: node, min: 0, max: 1 };
    const min = Number(found[1]);
    const max = !found[2] ? min : found[3] ? Number(found[3]) : Number.POSITIVE_INFINITY;
    return { kind: "repeat", item: node, min, max };
  }

  function literal(): Node {
    let text = "";
    at++;
    while (body[at] !== '"') text += char();
    at++;
    return { kind: "text", text };
  }

  function set(): Node {
    const ranges: [number, number][] = [];
    at++;
    const negated = body[at] === "^";
    if (negated) at++;
    while (body[at] !== "]") {
      const first = char().codePointAt(0)!;
      let last = first;
      if (body[at] === "-" && body[at + 1] !== "]") {
        at++;
        last = char().codePointAt(0)!;
      }
      ranges.push([first, last]);
    }
    at++;
    return { kind: "set", ranges, negated };
  }

  function char(): string {
    if (body[at] !== "\\") return body[at++]!;
    const kind = body[at + 1]!;
    const digits = { x: 2, u: 4, U: 8 }[kind];
    if (digits === undefined) throw new Error(`unexpected escape '\\${kind}'`);
    const code = Number.parseInt(body.slice(at + 2, at + 2 + digits), 16);
    at += 2 + digits;
    return String.fromCodePoint(code);
  }
}
