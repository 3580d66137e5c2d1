// Making elements, and the icons.

const SVG = 'http://www.w3.org/2000/svg';

/** `h('button', { class: 'x', onclick }, 'text')`; null and false children are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((one) => one != null && one !== false));
  return element;
}

const ICONS = {
  move: 'M8 12V5.5a1.5 1.5 0 0 1 3 0V11m0-6.5v-1a1.5 1.5 0 0 1 3 0V11m0-5.5a1.5 1.5 0 0 1 3 0V12m0-3.5a1.5 1.5 0 0 1 3 0V14c0 4-2.5 7-6.5 7-3 0-4.600-1.300-6-3.500L5 14.600c-.9-1.500 1-2.700 2-1.600l1 1.200',
  more: 'M4 8V5.500A1.500 1.500 0 0 1 5.500 4H8m8 0h2.500A1.500 1.500 0 0 1 20 5.500V8m0 8v2.500a1.500 1.500 0 0 1-1.500 1.500H16m-8 0H5.500A1.500 1.500 0 0 1 4 18.500V16M12 9v6m-3-3h6',
  not: 'M4 8V5.500A1.500 1.500 0 0 1 5.500 4H8m8 0h2.500A1.500 1.500 0 0 1 20 5.500V8m0 8v2.500a1.500 1.500 0 0 1-1.500 1.500H16m-8 0H5.500A1.500 1.500 0 0 1 4 18.500V16M9 12h6',
  fix: 'm10 10 10 3.500-4.500 1.800L13.700 20 10 10ZM5 5l1.500 1.500M10 3v2M3 10h2m9.500-5L13 6.500M5 15l1.500-1.500',
  undo: 'M9 6 4.500 10.500 9 15m-4-4.500h9.500a5 5 0 0 1 0 10H11',
  redo: 'm15 6 4.500 4.500L15 15m4-4.500H9.500a5 5 0 0 0 0 10H13',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  fit: 'M5 9V5h4m6 0h4v4m0 6v4h-4m-6 0H5v-4',
  fill: 'M14 4h6v6m0-6-7 7M10 20H4v-6m0 6 7-7',
  search: 'M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13Zm5-1.500L20 20',
  picture: 'M5.500 4h13A1.500 1.500 0 0 1 20 5.500v13a1.500 1.500 0 0 1-1.500 1.500h-13A1.500 1.500 0 0 1 4 18.500v-13A1.500 1.500 0 0 1 5.500 4ZM4.500 17l4.500-4.500 3.500 3.500 3-3 4.500 4.500M15 9h.01',
  save: 'M12 4v11m0 0-4-4m4 4 4-4M5 19h14',
  copy: 'M9 9h9.500a1 1 0 0 1 1 1v9.500a1 1 0 0 1-1 1H9a1 1 0 0 1-1-1V10a1 1 0 0 1 1-1ZM5 15.500H4.500a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1H14a1 1 0 0 1 1 1v.500',
  close: 'm6 6 12 12M18 6 6 18',
};

export function icon(name) {
  return s(
    'svg',
    { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' },
    s('path', { d: ICONS[name] }),
  );
}

/** Colours that come back late: neighbours differ in hue, and every third is lighter. */
export function colourOf(number) {
  const hue = (25 + number * 137.508) % 360;
  const light = [0.74, 0.8, 0.68][number % 3];
  return `oklch(${light} 0.17 ${hue.toFixed(0)})`;
}
