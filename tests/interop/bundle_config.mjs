// Prints how a host starts an unpacked bundle: bundle_config.mjs FOLDER PICTURES...
import { readFileSync } from "node:fs";
import { getMcpConfigForManifest } from "@anthropic-ai/mcpb";

const [folder, ...folders] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(`${folder}/manifest.json`, "utf8"));
const config = await getMcpConfigForManifest({
  manifest,
  extensionPath: folder,
  systemDirs: { HOME: process.env.HOME },
  userConfig: { folders },
  pathSeparator: "/",
});
console.log(JSON.stringify(config));
