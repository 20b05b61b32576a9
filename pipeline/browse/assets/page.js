// What is chosen, and what is shown of it. Every answer comes from the server that sent this page.

import { OutputMap } from './map.js';
import { legend, placeTable, profileHead, textOf } from './texts.js';
import { FLAGS, drawProfile, drawSeries } from './plots.js';

const $ = (id) => document.getElementById(id);
const state = { products: [], version: '', told: null, layer: '', place: null, band: '', wmo: 0, floats: [], profiles: [] };
let asking = 0;
let looking = 0;

async function ask(path, asked = {}) {
  const answer = await fetch(`api/${path}?${new URLSearchParams(asked)}`);
  const body = await answer.json();
  if (!answer.ok) throw new Error(typeof body.detail === 'string' ? body.detail : 'the question was refused');
  return body;
}

function say(text) { $('told').textContent = text; }

// Do something that may fail; a newer choice makes an older answer worthless.
async function attempt(what) {
  const mine = (asking += 1);
  try {
    await what(() => mine === asking);
  } catch (error) {
    if (mine === asking) say(error.message);
  }
}

function option(value, text) {
  const made = document.createElement('option');
  made.value = value;
  made.textContent = text;
  return made;
}

const product = () => state.products.find((one) => one.name === $('product').value);
const layer = () => state.told?.layers.find((one) => one.name === state.layer);

const map = new OutputMap($('map'), {
  moved: () => { remember(); look().catch((error) => say(error.message)); },
  clicked: (place) => choosePlace({ lat: place.lat, lng: place.lng }),
  drawn: () => { document.documentElement.dataset.drawn = `${$('product').value}/${$('period').value}/${state.layer}`; },
  failed: async (source) => {
    const answer = await fetch(source);
    if (!answer.ok) say((await answer.json()).detail);
  },
  float: (wmo) => attempt((current) => chooseFloat(wmo, current)),
  profile: (one) => attempt((current) => showProfile(one, current)),
});

function remember() {
  const { lat, lon, zoom } = map.view();
  const said = { product: $('product').value, period: $('period').value, layer: state.layer };
  said.at = `${lat.toFixed(5)},${lon.toFixed(5)},${zoom}`;
  history.replaceState(null, '', `#${new URLSearchParams(said)}`);
}

async function chooseProduct(wanted = {}) {
  const one = product();
  const periods = one.periods.map((each) => option(each.id, each.items > 1 ? `${each.id}  (${each.items} items)` : each.id));
  const kept = wanted.period ?? $('period').value;
  $('period').replaceChildren(...periods);
  $('period').value = one.periods.some((each) => each.id === kept) ? kept : one.periods.at(-1).id;
  state.framed = Boolean(wanted.at);
  if (wanted.at) map.show(wanted.at);
  else if (!map.placed || !map.sees(one.bounds)) map.fit(one.bounds);
  await attempt((current) => choosePeriod(current, wanted.layer));
}

async function choosePeriod(current, wanted) {
  const [name, period] = [$('product').value, $('period').value];
  const told = await ask('layers', { product: name, period });
  if (!current()) return;
  const names = told.layers.map((one) => one.name);
  const [before, band] = [wanted ?? state.layer, (wanted ?? state.layer).split('@')[0]];
  state.told = told;
  state.layer = names.includes(before) ? before : (names.find((one) => one.split('@')[0] === band) ?? names[0] ?? '');
  $('layer').replaceChildren(...told.layers.map((one) => option(one.name, textOf(one))));
  $('layer').value = state.layer;
  const at = $('period').selectedIndex;
  $('earlier').disabled = at <= 0;
  $('later').disabled = at >= $('period').length - 1;
  $('layer-choice').hidden = told.kind !== 'pixels';
  $('float').hidden = told.kind !== 'floats' || !state.profiles.length;
  $('rights').textContent = [told.attribution, told.license && `licence: ${told.license}`].filter(Boolean).join('; ');
  if (told.kind === 'floats') {
    await fitFloats(current);
  } else {
    Object.assign(state, { floats: [], profiles: [], wmo: 0 });
    map.drawFloats([], 0, []);
  }
  drawLayer();
  await look();
  if (state.place) await showPlace(current);
}

// Items of floats say roughly where they lie; the floats themselves say it exactly.
async function fitFloats(current) {
  if (state.framed) return;
  const { floats } = await ask('floats', { product: $('product').value });
  if (!current() || !floats.length) return;
  state.framed = true;
  const [x, y] = [floats.map((one) => one.longitude), floats.map((one) => one.latitude)];
  map.fit([Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)]);
}

function drawLayer() {
  const [name, period, one] = [$('product').value, $('period').value, layer()];
  const parts = [name, period, state.layer].map(encodeURIComponent).join('/');
  const address = one ? `tiles/${parts}/{z}/{x}/{y}.png?v=${encodeURIComponent(state.version)}` : null;
  delete document.documentElement.dataset.drawn;
  map.drawTiles(address, state.told.min_zoom, $('opacity').value / 100);
  const made = one ? legend(one) : [];
  $('legend').hidden = !made.length;
  $('legend').replaceChildren(...made);
  remember();
}

// What lies in view: outlines, or floats.
async function look() {
  if (!state.told) return;
  const box = map.box();
  if (box.south >= box.north) return;
  const asked = { product: $('product').value, ...box };
  const mine = ++looking;
  const stale = () => mine !== looking || asked.product !== $('product').value;
  if (state.told.kind === 'floats') {
    const found = await ask('floats', asked);
    if (stale()) return;
    state.floats = found.floats;
    map.drawOutlines(null);
    map.drawFloats(found.floats, state.wmo, state.profiles);
    const more = found.left_out ? '; more are here: zoom in to see all' : '';
    say(`${found.floats.length} floats in view${more}. Click one for its profiles.`);
    document.documentElement.dataset.drawn = `${asked.product}/${$('period').value}/`;
    return;
  }
  const found = await ask('items', { ...asked, period: $('period').value });
  if (stale()) return;
  map.drawOutlines(found);
  const far = state.told.kind === 'pixels' && map.view().zoom < state.told.min_zoom;
  const what = `${found.total.toLocaleString('en')} ${found.total === 1 ? 'item' : 'items'} in view`;
  const hint = state.told.kind === 'outlines'
    ? 'This product has no pixels that a map can show; a click names the item and its files.'
    : far ? 'Zoom in to see pixels.' : 'Click for values.';
  say(`${what}. ${hint}`);
}

async function choosePlace(place) {
  if (!state.told || state.told.kind === 'floats') return;
  state.place = place;
  await attempt(showPlace);
}

async function showPlace(current = () => true) {
  const { lat, lng } = state.place;
  map.mark([lat, lng]);
  const asked = { product: $('product').value, lon: lng.toFixed(7), lat: lat.toFixed(7) };
  const answer = await ask('point', { ...asked, period: $('period').value, layer: layer()?.day ? state.layer : '' });
  if (!current()) return;
  const known = answer.layers.map((one) => one.name.split('@')[0]);
  const [first] = layer()?.bands ?? [];
  if (!known.includes(state.band)) state.band = known.includes(first) ? first : (known[0] ?? '');
  const parts = placeTable(answer, asked, state.band, (band) => { state.band = band; attempt(showPlace); });
  const steps = state.band ? await ask('series', { ...asked, band: state.band }) : [];
  if (!current()) return;
  if (steps.filter((step) => step.value !== null).length > 1) {
    const title = document.createElement('p');
    title.className = 'label';
    title.textContent = `${state.band} at this place`;
    parts.push(title, drawSeries(steps, $('period').value));
  }
  $('place').replaceChildren(...parts);
  $('place').hidden = false;
}

function closePlace() {
  state.place = null;
  map.mark(null);
  $('place').hidden = true;
}

async function chooseFloat(wmo, current) {
  const profiles = await ask(`floats/${wmo}`, { product: $('product').value });
  if (!current()) return;
  Object.assign(state, { wmo, profiles });
  map.drawFloats(state.floats, wmo, profiles);
  await showProfile(profiles.at(-1), current);
}

async function showProfile(one, current) {
  const named = { cycle: one.cycle, direction: one.direction, kind: one.kind, index: one.profile_index };
  const profile = await ask('profile', { product: $('product').value, wmo: state.wmo, ...named });
  if (!current()) return;
  const at = state.profiles.indexOf(one);
  const go = (number) => attempt((still) => showProfile(state.profiles[number], still));
  const shown = { best: true, raw: false };
  const plot = document.createElement('div');
  const draw = () => plot.replaceChildren(drawProfile(profile, shown));
  draw();
  $('float').replaceChildren(...profileHead({ profile, profiles: state.profiles, at, go, shown, draw, flags: FLAGS }), plot);
  $('float').hidden = false;
  document.documentElement.dataset.profile = `${profile.wmo}/${profile.cycle}/${profile.direction}/${profile.kind}`;
}

// Another run may have ended meanwhile: its items are shown without a new start.
async function refresh() {
  if (document.hidden) return;
  const answer = await ask('products');
  if (answer.version === state.version) return;
  Object.assign(state, { version: answer.version, products: answer.products });
  const chosen = $('product').value;
  $('product').replaceChildren(...answer.products.map((one) => option(one.name, one.name)));
  if (answer.products.some((one) => one.name === chosen)) $('product').value = chosen;
  await chooseProduct();
}

function listen() {
  $('product').addEventListener('change', () => { closePlace(); $('float').hidden = true; chooseProduct(); });
  $('period').addEventListener('change', () => attempt(choosePeriod));
  for (const [id, step] of [['earlier', -1], ['later', 1]]) {
    $(id).addEventListener('click', () => { $('period').selectedIndex += step; attempt(choosePeriod); });
  }
  $('layer').addEventListener('change', () => {
    state.layer = $('layer').value;
    drawLayer();
    if (state.place) attempt(showPlace);
  });
  $('opacity').addEventListener('input', () => map.fade($('opacity').value / 100));
  $('choice').addEventListener('submit', (event) => event.preventDefault());
  setInterval(() => refresh().catch(() => say('The server does not answer; it may have been ended.')), 15000);
}

async function start() {
  const said = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const answer = await ask('products');
  Object.assign(state, { version: answer.version, products: answer.products });
  $('output').textContent = answer.output;
  $('output').title = answer.output;
  document.title = `${answer.output.split('/').filter(Boolean).at(-1)}: Groundswell`;
  $('product').replaceChildren(...answer.products.map((one) => option(one.name, one.name)));
  if (answer.products.some((one) => one.name === said.product)) $('product').value = said.product;
  const [lat, lon, zoom] = (said.at ?? '').split(',').map(Number);
  const at = [lat, lon, zoom].every(Number.isFinite) && said.at ? { lat, lon, zoom } : undefined;
  listen();
  await chooseProduct({ ...said, at });
  document.documentElement.dataset.ready = 'yes';
}

start().catch((error) => { say(error.message); document.documentElement.dataset.ready = 'no'; });
