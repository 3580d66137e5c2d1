// Builds the page: node build.mjs MODULES, where MODULES has esbuild (`make view` does it).
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const { buildSync } = createRequire(`${process.argv[2]}/`)('esbuild');
const options = { bundle: true, minify: true, write: false, target: 'es2023', logLevel: 'warning' };
const built = (entry, more) =>
  buildSync({ ...options, ...more, entryPoints: [`${here}src/${entry}`] }).outputFiles[0].text.trim();
const script = built('main.js', { format: 'iife' }).replaceAll('</script', '<\\/script');
const style = built('view.css', {});

// tests/tools/test_view.py computes the same, and so sees that the page is stale.
const hash = createHash('sha256');
for (const name of readdirSync(`${here}src`, { recursive: true }).sort()) {
  if (/\.\w+$/.test(name)) hash.update(`${name}\n`).update(readFileSync(`${here}src/${name}`));
}

const parts = { SOURCES: hash.digest('hex'), STYLE: style, SCRIPT: script };
const page = readFileSync(`${here}src/view.html`, 'utf8');
writeFileSync(`${here}view.html`, page.replace(/%([A-Z]+)%/g, (_, name) => parts[name]));
