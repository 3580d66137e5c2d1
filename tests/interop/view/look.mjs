// Does in the view what a person would, at several sizes; prints what happened as JSON.
// node look.mjs SERVER IMAGE PORT SCREENSHOT_FOLDER
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { idle, launch, openView, serveHost } from './browser.mjs';

const [server, image, port, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const CASES = [
  { name: 'desktop', width: 1280, height: 800, theme: 'light', words: 'coin' },
  { name: 'phone', width: 390, height: 844, theme: 'dark', words: 'star', touch: true },
  { name: 'many', width: 1280, height: 800, theme: 'dark', words: 'bead' },
  { name: 'phone-many', width: 390, height: 844, theme: 'light', words: 'bead', touch: true },
];

async function faults(frame) {
  await frame.evaluate(axe);
  return frame.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations
      .filter((one) => ['serious', 'critical'].includes(one.impact))
      .map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 160)} ${one.nodes[0].failureSummary}`);
  });
}

/** What is in sight. */
const sight = (frame) =>
  frame.evaluate(() => ({
    rows: document.querySelectorAll('.row').length,
    marks: document.querySelectorAll('.mark:not(.off)').length,
    on: document.querySelectorAll('.row .switch[aria-checked=true]').length,
    title: document.querySelector('.title').textContent,
    examples: document.querySelectorAll('.example').length,
    problem: document.querySelector('.problem').textContent,
    wide: document.documentElement.scrollWidth > innerWidth,
  }));

/** Where a place of the photo is on the page, both in shares 0..1. */
async function placeOf(page, frame, x, y) {
  const world = await (await frame.$('.world')).boundingBox();
  return [world.x + x * world.width, world.y + y * world.height];
}

async function drag(page, from, to, steps = 8) {
  await page.mouse.move(...from);
  await page.mouse.down();
  await page.mouse.move(...to, { steps });
  await page.mouse.up();
}

/** Do something that makes or opens another result, and wait for it. */
async function another(frame, job) {
  const id = () => frame.$eval('#app', (one) => one.dataset.result);
  const before = await id();
  await job();
  await frame.waitForFunction((old) => document.getElementById('app').dataset.result !== old, {}, before);
  await idle(frame);
}

const pressed = (frame, selector) => frame.$eval(selector, (one) => one.click());

async function act({ name, width, height, theme, words, touch }) {
  const { page, frame, errors } = await openView(browser, Number(port), server, {
    args: { image, instruction: words }, width, height, theme, touch,
  });
  await frame.waitForSelector('.row');
  await idle(frame);
  const seen = { name, errors, first: await sight(frame) };
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  seen.faults = await faults(frame);

  // Switch one off and on again; hover both ways.
  await pressed(frame, '.row .switch');
  seen.off = await sight(frame);
  await pressed(frame, '.row .switch');
  const [x, y] = await placeOf(page, frame, ...(await frame.evaluate(() => {
    const { x, y, width, height } = document.querySelector('.mark[data-number="1"]').getBBox();
    const { width: w, height: h } = document.querySelector('.marks').viewBox.baseVal;
    return [(x + width * 0.3) / w, (y + height / 2) / h];
  })));
  if (touch) {
    await page.touchscreen.tap(x, y);
    await frame.waitForSelector('.row.selected');
    seen.hovered = await frame.$eval('.row[data-number="1"]', (one) => one.classList.contains('selected'));
    seen.focused = await frame.$eval('.mark[data-number="1"]', (one) => one.classList.contains('focus'));
    await pressed(frame, '.row.selected .pick');
  } else {
    await page.mouse.move(x, y);
    await frame.waitForSelector('.row.hovered');
    seen.hovered = await frame.$eval('.row[data-number="1"]', (one) => one.classList.contains('hovered'));
    await (await frame.$('.row')).hover();
    seen.focused = await frame.$eval('.mark[data-number="1"]', (one) => one.classList.contains('focus'));
  }

  // More like this, then back and forth.
  await pressed(frame, '[data-tool=more]');
  await another(frame, async () => drag(page, await placeOf(page, frame, 0.72, 0.72), await placeOf(page, frame, 0.86, 0.9)));
  seen.more = await sight(frame);
  await another(frame, () => pressed(frame, '[aria-label=Undo]'));
  seen.undone = await sight(frame);
  await another(frame, () => pressed(frame, '[aria-label=Redo]'));
  seen.redone = await sight(frame);

  // Not this, by the keyboard: the cross starts in the middle.
  await pressed(frame, '[data-tool=not]');
  await frame.focus('.stage');
  await another(frame, async () => {
    for (const key of ['ArrowUp', 'ArrowLeft', 'Enter', 'ArrowDown', 'ArrowDown', 'ArrowRight', 'ArrowRight', 'Enter']) await page.keyboard.press(key);
  });
  seen.not = await sight(frame);

  // Correct one by a click, and take another reading of it.
  const area = () => frame.$eval('.row:last-child .place', (one) => Number(one.textContent.replace(/\D/g, '')));
  await pressed(frame, '[data-tool=fix]');
  const before = await area();
  const last = await frame.$eval('.row:last-child', (one) => Number(one.dataset.number));
  await frame.$eval('.row:last-child .pick', (one) => one.click());
  const click = await placeOf(page, frame, 0.84, 0.7);
  await another(frame, () => (touch ? page.touchscreen : page.mouse)[touch ? 'tap' : 'click'](...click));
  const clicked = await area();
  await another(frame, () => pressed(frame, '.help .link'));
  seen.clicked = { last, grew: clicked > before, other: (await area()) > clicked, ...(await sight(frame)) };
  await pressed(frame, '.segments [data-adding=false]');
  await page.keyboard.press('Escape');

  // By another route, and all of them side by side.
  await another(frame, () => pressed(frame, '[data-route=agent]'));
  seen.agent = { ...(await sight(frame)), route: await frame.$eval('.about', (one) => one.textContent.split(' ')[0]) };
  await pressed(frame, '#tab-2');
  await pressed(frame, '.compare .primary');
  await frame.waitForFunction(() => document.querySelectorAll('.card').length === 3);
  await idle(frame);
  await page.screenshot({ path: `${folder}/${name}-compare.png`, fullPage: true });
  seen.compareFaults = await faults(frame);
  seen.cards = await frame.$$eval('.card', (all) => all.map((one) => ({ count: Number(one.querySelector('strong').textContent), steps: one.querySelectorAll('li').length, marks: one.querySelectorAll('path').length })));
  await another(frame, () => frame.$$eval('.card > button', ([first]) => first.click()));
  seen.chosen = await frame.$eval('.card.chosen h3', (one) => one.textContent);
  await pressed(frame, '#tab-1');
  seen.steps = await frame.$$eval('.why li', (all) => all.length);
  await pressed(frame, '#tab-0');

  // Save what is switched on.
  if (seen.first.rows > 1) await pressed(frame, '.row .switch');
  for (const format of ['PNG', 'COCO', 'SVG']) {
    await frame.evaluate((wanted) => [...document.querySelectorAll('.saving button')].find((one) => one.textContent === wanted).click(), format);
    await frame.waitForFunction(() => document.querySelector('.said').textContent);
  }
  await page.waitForFunction(() => window.seen.files.length === 3);

  // Full screen, and the zoom.
  await pressed(frame, '[aria-label="Full screen"]');
  await frame.waitForFunction((most) => innerHeight === most, {}, height);
  await frame.focus('.stage');
  for (let presses = 0; presses < 4; presses++) await page.keyboard.press('+');
  await idle(frame);
  seen.full = { ...(await sight(frame)), high: await frame.evaluate(() => document.documentElement.scrollHeight <= innerHeight), zoom: await frame.$eval('.percent', (one) => parseInt(one.textContent, 10)) };
  await page.screenshot({ path: `${folder}/${name}-full.png` });
  Object.assign(seen, await page.evaluate(() => ({ contexts: window.seen.contexts, files: window.seen.files, mimeType: window.seen.mimeType })));
  await page.close();
  return seen;
}

/** Frames a second while the photo is dragged about, zoomed in. */
async function panning() {
  const { page, frame } = await openView(browser, Number(port), server, { args: { image, instruction: 'dot' }, width: 1280, height: 800 });
  await frame.waitForSelector('.row');
  await idle(frame);
  await frame.focus('.stage');
  for (let presses = 0; presses < 4; presses++) await page.keyboard.press('+');
  await idle(frame);
  const middle = await placeOf(page, frame, 0.5, 0.5);
  await page.mouse.move(...middle);
  await page.mouse.down();
  await frame.evaluate(() => {
    window.times = [];
    const tick = (time) => {
      window.times.push(time);
      window.ticking = requestAnimationFrame(tick);
    };
    window.ticking = requestAnimationFrame(tick);
  });
  const end = Date.now() + 2500;
  for (let turn = 0; Date.now() < end; turn += 0.15) await page.mouse.move(middle[0] + 120 * Math.sin(turn), middle[1] + 90 * Math.cos(turn));
  await page.mouse.up();
  const times = await frame.evaluate(() => {
    cancelAnimationFrame(window.ticking);
    return window.times;
  });
  await page.close();
  const gaps = times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b);
  return { marks: 100, framesPerSecond: Math.round((1000 * gaps.length) / (times.at(-1) - times[0])), slowest5percentMs: Math.round(gaps[Math.floor(gaps.length * 0.95)]) };
}

const browser = await launch();
const close = await serveHost(Number(port));
const wanted = process.argv[6]?.split(',');
const seen = [];
for (const one of CASES) if (!wanted || wanted.includes(one.name)) seen.push(await act(one));
const frames = !wanted || wanted.includes('panning') ? await panning() : null;
await browser.close();
close();
console.log(JSON.stringify({ seen, frames }));
