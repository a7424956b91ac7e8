// Reads corpus.txt: topics, the words that call them up, and the answers under them. Its head explains the form.

export interface Topic {
  name: string;
  keywords: Keyword[];
  answers: string[];
}

export interface Keyword {
  /** In lower case; stands for its capitalised form too. */
  word: string;
  /** 1, less for a word that says little. */
  strength: number;
}

/** What one tilde before a keyword leaves of its strength. */
const TILDE = 0.75;

/** @throws SyntaxError on a block whose first line is not `name: words` or that has no answer */
export function parseCorpus(text: string): Topic[] {
  const lines = text.split("\n").filter((line) => !line.startsWith("# "));
  const blocks = lines
    .join("\n")
    .trim()
    .split(/\n{2,}/);
  return blocks.map((block) => {
    const [head, ...answers] = block.split("\n") as [string, ...string[]];
    const [, name, words] = /^(\w+):(.*)$/.exec(head) ?? [];
    if (name === undefined || words === undefined || answers.length === 0)
      throw new SyntaxError(`corpus: ${JSON.stringify(head)} does not open a topic`);
    return {
      name,
      keywords: words.split(" ").filter(Boolean).map(parseKeyword),
      answers: answers.map((answer) => answer.replaceAll("\\n", "\n")),
    };
  });
}

function parseKeyword(written: string): Keyword {
  const word = written.replace(/^~+/, "");
  return { word, strength: TILDE ** (written.length - word.length) };
}
