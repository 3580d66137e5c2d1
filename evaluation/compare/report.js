'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const HIT = [31, 168, 90], EXTRA = [216, 27, 96], MISSED = [245, 158, 11], TRUTH = [43, 125, 233];
const TINT = 130, ROWS = 50, FIRST_ROUTE = 5;

const union = (runs, [width, height]) => {
  const mask = new Uint8Array(width * height);
  for (const lengths of runs) {
    let at = 0, inside = 0;
    for (const length of lengths) {
      if (inside) mask.fill(1, at, at + length);
      at += length;
      inside = 1 - inside;
    }
  }
  return mask;
};

// Colours of a layer over the photo: null where nothing is drawn.
const paint = (example, layer, outline) => {
  const [width, height] = example.size;
  const truth = union(example.layers[0].runs, example.size);
  const found = layer > 1 ? union(example.layers[layer - 1].runs, example.size) : null;
  const picture = new ImageData(width, height);
  const kind = (at) => found ? truth[at] + 2 * found[at] : truth[at];
  for (let at = 0; at < truth.length; at++) {
    const here = kind(at);
    if (!here) continue;
    if (outline) {
      const x = at % width;
      const inner = x > 0 && x < width - 1 && at >= width && at < truth.length - width &&
        [at - 1, at + 1, at - width, at + width].every((near) => kind(near) === here);
      if (inner) continue;
    }
    const colour = !found ? TRUTH : here === 3 ? HIT : here === 2 ? EXTRA : MISSED;
    picture.data.set([...colour, outline ? 255 : TINT], 4 * at);
  }
  return picture;
};

const draw = (canvas, example, photo, layer, outline) => {
  const [width, height] = example.size;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  context.drawImage(photo, 0, 0, width, height);
  if (layer === 0) return;
  const over = new OffscreenCanvas(width, height);
  over.getContext('2d').putImageData(paint(example, layer, outline), 0, 0);
  context.drawImage(over, 0, 0);
};

const names = (example) => ['photo', ...example.layers.map((one) => one.name)];

// One picture with its switches; `state` is shared between a card and the large view.
const view = (canvas, switches, example, photo, state) => {
  const buttons = names(example).map((name, layer) => {
    const button = document.createElement('button');
    const { iou, failure } = example.layers[layer - 1] ?? {};
    button.textContent = typeof iou === 'number' ? `${name} ${iou.toFixed(2)}` : name;
    button.title = failure ?? '';
    button.addEventListener('click', () => { state.layer = layer; show(); });
    switches.append(button);
    return button;
  });
  const label = document.createElement('label');
  const box = Object.assign(document.createElement('input'), { type: 'checkbox' });
  box.addEventListener('change', () => { state.outline = box.checked; show(); });
  label.append(box, ' outline');
  switches.append(label);
  const show = () => {
    buttons.forEach((one, layer) => one.setAttribute('aria-pressed', layer === state.layer));
    box.checked = state.outline;
    draw(canvas, example, photo, state.layer, state.outline);
  };
  show();
  return show;
};

const dialog = document.querySelector('dialog');
const enlarge = (section, example, photo, state, changed) => {
  const [title, canvas, switches] = ['h3', 'canvas', '.switches'].map((one) => dialog.querySelector(one));
  title.textContent = section.querySelector('h3').textContent;
  switches.replaceChildren();
  view(canvas, switches, example, photo, state);
  const [width, height] = example.size;
  const scale = Math.max(1, Math.min(innerWidth * 0.9 / width, innerHeight * 0.72 / height));
  canvas.style.width = `${Math.round(width * scale)}px`;
  dialog.onclose = changed;
  dialog.showModal();
};
dialog.querySelector('canvas').addEventListener('click', () => dialog.close());
dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
dialog.querySelector('.close').addEventListener('click', () => dialog.close());

document.querySelectorAll('section.case').forEach((section, number) => {
  const example = data.examples[number];
  const photo = document.getElementById(`photo-${section.dataset.photo}`);
  const canvas = section.querySelector('canvas');
  const state = { layer: Math.min(2, example.layers.length), outline: false };
  const show = view(canvas, section.querySelector('.switches'), example, photo, state);
  photo.decode().then(show);
  canvas.addEventListener('click', () => enlarge(section, example, photo, state, show));
});

// All cases: filtered, sorted, some at a time.
const table = document.getElementById('cases');
const body = table.querySelector('tbody');
const [search, level, kind, outcome] = ['search', 'level', 'kind', 'outcome'].map((id) => document.getElementById(id));
const pictured = new Map(data.examples.map((one, number) => [one.id, number]));
let sorting = { column: null, downwards: false }, shown = ROWS;

const fill = (select, values) => [...new Set(values)].filter(Boolean).sort().forEach((value) => {
  select.append(Object.assign(document.createElement('option'), { textContent: value, value }));
});
const failures = (row) => data.routes.map((_, at) => row[FIRST_ROUTE + 2 * at + 1]);
fill(level, data.cases.map((row) => row[1]));
fill(kind, data.cases.map((row) => row[2]));
fill(outcome, data.cases.flatMap(failures));
kind.hidden = kind.options.length < 2;

const matches = (row) =>
  (!level.value || row[1] === level.value) && (!kind.value || row[2] === kind.value) &&
  (!outcome.value || (outcome.value === 'right' ? failures(row).every((one) => !one) : failures(row).includes(outcome.value))) &&
  [row[0], row[3], row[4]].some((text) => text.toLowerCase().includes(search.value.toLowerCase()));

const compare = (a, b) => {
  const [x, y] = [a[sorting.column], b[sorting.column]];
  const order = typeof x === 'number' || typeof y === 'number' ? (x ?? -1) - (y ?? -1)
    : String(x).localeCompare(String(y), undefined, { numeric: true });
  return sorting.downwards ? -order : order;
};

const cell = (text, name) => Object.assign(document.createElement('td'), { textContent: text, className: name });
const list = () => {
  const found = data.cases.filter(matches);
  if (sorting.column !== null) found.sort(compare);
  body.replaceChildren(...found.slice(0, shown).map((row) => {
    const line = document.createElement('tr');
    line.append(...row.slice(0, FIRST_ROUTE).map((text, at) => cell(text, at === 3 ? 'l text' : 'l')));
    data.routes.forEach((_, at) => {
      const [iou, failure] = row.slice(FIRST_ROUTE + 2 * at, FIRST_ROUTE + 2 * at + 2);
      const one = cell(iou === null ? '' : iou.toFixed(2), '');
      if (failure) one.append(document.createElement('br'), Object.assign(document.createElement('span'), { textContent: failure, className: 'bad' }));
      line.append(one);
    });
    if (pictured.has(row[0])) {
      const button = Object.assign(document.createElement('button'), { textContent: 'picture' });
      button.addEventListener('click', () => document.querySelectorAll('section.case')[pictured.get(row[0])].querySelector('canvas').click());
      line.firstChild.append(' ', button);
    }
    return line;
  }));
  document.getElementById('found').textContent = `${found.length} of ${data.cases.length} cases`;
  document.getElementById('more').hidden = found.length <= shown;
};
[search, level, kind, outcome].forEach((one) => one.addEventListener('input', () => { shown = ROWS; list(); }));
document.getElementById('more').addEventListener('click', () => { shown += 4 * ROWS; list(); });
table.querySelectorAll('th button').forEach((button) => button.addEventListener('click', () => {
  const column = Number(button.dataset.column);
  sorting = { column, downwards: sorting.column === column && !sorting.downwards };
  table.querySelectorAll('th').forEach((one) => one.removeAttribute('aria-sort'));
  button.parentElement.setAttribute('aria-sort', sorting.downwards ? 'descending' : 'ascending');
  list();
}));
list();
