// Loaded into the Bun processes of a benchmark of memory: collects garbage when told to (SIGUSR2), so that what is measured is
// what is held and not what has yet to be thrown away.

process.on("SIGUSR2", () => Bun.gc(true));
