// Speaks enough of native solc's command line for Foundry: `--version`, and standard JSON from stdin to stdout.
// Arguments: SOLC_MODULE then what the caller wrote. Sources come inside the JSON, so nothing is read from the disk.
"use strict";
const fs = require("node:fs");

const [module_, ...words] = process.argv.slice(2);
const solc = require(module_);

if (words.includes("--version")) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (words.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")) + "\n");
} else {
  process.stderr.write("solc wrapper: only --version and --standard-json (input on stdin) are understood\n");
  process.exitCode = 2;
}
