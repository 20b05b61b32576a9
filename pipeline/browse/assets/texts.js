// Pieces of the panel, made of answers. What comes from an output is set as text, never as markup.

import { FLAGS, shape } from './plots.js';

export function tag(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export const textOf = (layer) => (layer.kind === 'composite' || !layer.description || layer.description.length > 36
  ? layer.title : `${layer.title}: ${layer.description}`);

// Up to six digits, without zeros behind the point.
export const number = (value) => (value === null ? 'no data' : String(+value.toPrecision(6)));

export function legend(layer) {
  const caption = tag('figcaption', layer.kind === 'composite' ? layer.bands.join(', ') : layer.description);
  if (layer.shades.length) return [shades(layer.shades), caption];
  const ends = tag('div', null, { class: 'ends' });
  ends.append(tag('span', number(layer.low)), tag('span', layer.unit), tag('span', number(layer.high)));
  if (!layer.colours.length) return [ends, caption];
  const svg = shape('svg', { class: 'ramp', viewBox: `0 0 ${layer.colours.length} 1`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  layer.colours.forEach((colour, x) => svg.append(shape('rect', { x: x - 0.02, y: 0, width: 1.04, height: 1, fill: colour })));
  return [svg, ends, caption];
}

function shades(list) {
  const made = tag('ul', null, { class: 'shades' });
  for (const { colour, text } of list) {
    const entry = tag('li', null);
    const svg = shape('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' });
    svg.append(shape('rect', { width: 12, height: 12, rx: 3, fill: colour }));
    entry.append(svg, text);
    made.append(entry);
  }
  return made;
}

const percent = (value) => `${+(value * 100).toFixed(1)} %`;

export function placeTable(answer, place, band, choose) {
  const head = tag('h2', `${Math.abs(place.lat).toFixed(5)}° ${place.lat < 0 ? 'S' : 'N'}, ${Math.abs(place.lon).toFixed(5)}° ${place.lon < 0 ? 'W' : 'E'}`);
  const { item } = answer;
  if (!item) return [head, tag('p', 'No item of this product and period lies here.', { class: 'quiet' })];
  const where = item.row === undefined ? '' : `, row ${item.row}, column ${item.column}, ${item.crs}`;
  const facts = [
    ['valid', item.valid_fraction, percent], ['observations, mean', item.observations_mean, number],
    ['inputs lost', item.missing_fraction, percent],
  ].filter(([, value]) => value !== null).map(([name, value, form]) => `${name}: ${form(value)}`);
  const marks = tag('p', null);
  if (item.status) marks.append(tag('span', `quality: ${item.status}`, { class: `mark ${item.status}` }));
  if (item.adopted) marks.append(tag('span', 'adopted', { class: 'mark' }));
  const links = tag('p', null, { class: 'quiet' });
  links.append(tag('a', 'item', { href: item.href, id: 'item-link' }), ` ${item.id}`);
  if (answer.others.length) links.append(`; here lie also ${answer.others.join(', ')}`);
  const parts = [head, tag('p', `tile ${item.tile}${where}`, { class: 'quiet' }), marks, tag('p', facts.join('; '), { class: 'quiet' })];
  for (const text of item.found) parts.push(tag('p', text, { class: 'quiet' }));
  if (answer.layers.length) parts.push(values(answer.layers, band, choose));
  return [...parts, links];
}

function values(layers, band, choose) {
  const table = tag('table', null);
  const row = tag('tr', null);
  row.append(tag('th', 'layer'), tag('th', 'value'), tag('th', 'stored'));
  table.append(row);
  for (const one of layers) {
    const name = one.name.split('@')[0];
    const line = tag('tr', null, { 'data-layer': name });
    const button = tag('button', name, { type: 'button', title: one.description, 'aria-pressed': String(name === band) });
    button.addEventListener('click', () => choose(name));
    const cell = tag('td', null);
    cell.append(button);
    const value = one.words.length ? one.words.join(', ') : `${number(one.value)}${one.value !== null && one.unit ? ` ${one.unit}` : ''}`;
    line.append(cell, tag('td', value, { class: 'value' }), tag('td', one.stored === null ? '' : String(+one.stored.toPrecision(9)), { class: 'stored' }));
    table.append(line);
  }
  return table;
}

export function profileHead({ profile, profiles, at, go, shown, draw }) {
  const head = tag('h2', `Float ${profile.wmo}`);
  const mode = { R: 'real time', A: 'real time, adjusted', D: 'delayed mode' }[profile.data_mode] ?? profile.data_mode;
  const when = profile.time ? profile.time.replace('T', ' ').replace('Z', ' UTC') : 'no time';
  const list = tag('select', null, { 'aria-label': 'Profile', id: 'profile' });
  profiles.forEach((one, index) => {
    const day = one.time ? one.time.slice(0, 10) : 'no time';
    const text = `${day}  cycle ${one.cycle}${one.direction === 'D' ? ', descending' : ''}${one.kind === 'core' ? '' : `, ${one.kind}`}`;
    list.append(tag('option', text, { value: index }));
  });
  list.value = at;
  list.addEventListener('change', () => go(Number(list.value)));
  const stepper = tag('div', null, { class: 'stepper' });
  const step = (text, name, to) => {
    const button = tag('button', text, { type: 'button', 'aria-label': name });
    button.disabled = to < 0 || to >= profiles.length;
    button.addEventListener('click', () => go(to));
    return button;
  };
  stepper.append(step('←', 'Earlier profile', at - 1), list, step('→', 'Later profile', at + 1));
  const checks = tag('div', null, { class: 'checks' });
  for (const [key, text] of [['best', 'best values'], ['raw', 'as in the file (raw)']]) {
    const [label, box] = [tag('label', null), tag('input', null, { type: 'checkbox', id: `show-${key}` })];
    box.checked = shown[key];
    box.addEventListener('change', () => { shown[key] = box.checked; draw(); });
    label.append(box, text);
    checks.append(label);
  }
  const used = new Set(profile.parameters.flatMap((one) => [...one.qc, ...one.raw_qc]).filter((flag) => flag !== null));
  const known = [...used].sort().map((flag) => ({ colour: FLAGS[flag]?.[0] ?? FLAGS[0][0], text: FLAGS[flag] ? `${flag} ${FLAGS[flag][1]}` : String(flag) }));
  const facts = tag('p', `${when}, ${mode}; ${profile.file}`, { class: 'quiet' });
  return [head, facts, stepper, checks, shades(known)];
}
