// A browser, the two pages around the view, and what is done to it.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import chromium from '@sparticuz/chromium';
import { buildSync } from 'esbuild';
import puppeteer from 'puppeteer-core';

const here = new URL('.', import.meta.url);
const text = (name) => readFileSync(new URL(name, here), 'utf8');
// The specification's default where a view names no domains.
const POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; media-src 'self' data:; connect-src 'none'; object-src 'none'; base-uri 'self'; frame-src 'self'";

const LONGEST_MS = 120_000; // of a step, on a machine that is busy

export async function launch() {
  return puppeteer.launch({
    args: [...chromium.args, '--no-sandbox'],
    executablePath: await chromium.executablePath(),
    headless: 'shell',
  });
}

function serve(port, pages, headers = {}) {
  const server = createServer((request, response) => {
    const [type, body] = pages[request.url.split('?')[0]] ?? ['text/plain', undefined];
    response.writeHead(body ? 200 : 404, { 'content-type': type, ...headers });
    response.end(body);
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}

/** The host on `port`, its sandbox on the next one. */
export async function serveHost(port) {
  const script = buildSync({
    entryPoints: [new URL('host.js', here).pathname],
    bundle: true, format: 'esm', write: false, logLevel: 'error',
  }).outputFiles[0].text;
  const host = await serve(port, { '/': ['text/html', text('host.html')], '/host.js': ['text/javascript', script] });
  const sandbox = await serve(port + 1, { '/': ['text/html', text('sandbox.html')] }, { 'content-security-policy': POLICY });
  return () => {
    host.close();
    sandbox.close();
  };
}

/** Open the host with a tool's answer; returns its page and the frame of the view. */
export async function openView(browser, port, server, { tool = 'segment', args, width = 1280, height = 900, theme = 'light', touch = false }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(LONGEST_MS);
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
  await page.setViewport({ width, height, hasTouch: touch });
  const asked = { server, sandbox: `http://127.0.0.1:${port + 1}/`, tool, args, theme };
  await page.goto(`http://127.0.0.1:${port}/?asked=${encodeURIComponent(JSON.stringify(asked))}`);
  const frame = await viewFrame(page);
  return { page, frame, errors };
}

async function viewFrame(page) {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const frame = page.frames().find((one) => one.parentFrame()?.parentFrame());
    if (frame && (await frame.$('#app[data-ready]').catch(() => null))) return frame;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the view did not come up');
}

/** Wait until nothing is under way. */
export async function idle(frame) {
  await frame.waitForFunction(() => document.getElementById('app').getAttribute('aria-busy') === 'false' && !document.querySelector('.world.moving'), { timeout: LONGEST_MS });
}
