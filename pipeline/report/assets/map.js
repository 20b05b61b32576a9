// Tiles on a canvas: by place, or as squares in the order of the plan. No element of the page stands for a tile.
const RANK = [1, 0, 2, 3, 4, 5, 6]; // of outcomes: of several jobs of a tile the worst is shown
const COLOURS = [
  ['outcome', 'outcome'], ['seconds', 'longest job'], ['read', 'bytes read'], ['attempts', 'attempts'], ['losses', 'inputs lost'], ['verdict', 'quality'],
];

function placesOf(data) {
  const count = data.tiles.length;
  const [places, squares] = [new Float32Array(count * 4), new Float32Array(count * 4)];
  const columns = Math.max(1, Math.ceil(Math.sqrt(count * 1.9)));
  let placed = 0;
  for (let tile = 0; tile < count; tile += 1) {
    let [west, south, east, north] = data.bounds.subarray(tile * 4, tile * 4 + 4);
    if (east < west) east += 360; // across the antimeridian
    if (!(east - west < 300)) west = NaN; // the whole globe, or nowhere: no place on a map
    else placed += 1;
    places.set([west, south, east, north], tile * 4);
    const [x, y] = [tile % columns, -Math.floor(tile / columns)];
    squares.set([x, y - 0.88, x + 0.88, y], tile * 4);
  }
  return { places, squares, placed };
}

function makeMap(data, filter) {
  const canvas = document.getElementById('map');
  const found = placesOf(data);
  const colour = document.getElementById('map-colour');
  const view = document.getElementById('map-view');
  const rank = new Int8Array(data.tiles.length);
  const value = new Float32Array(data.tiles.length);
  let bounds = found.placed ? found.places : found.squares;
  let [x0, y0, scale, stretch, picked, waiting] = [0, 0, 1, 1, -1, 0];

  COLOURS.forEach(([key, word]) => {
    if (key === 'outcome' || data[key].some((one) => one > 0)) colour.append(new Option(word, key));
  });
  if (!found.placed) view.value = 'squares';
  view.querySelector('[value=places]').disabled = !found.placed;

  function gather() {
    rank.fill(-1);
    value.fill(0);
    const key = colour.value;
    const column = key === 'outcome' ? null : data[key];
    const sum = key === 'read' || key === 'losses';
    for (let row = 0; row < data.count; row += 1) {
      if (!filter.mask[row]) continue;
      const tile = data.tile[row];
      rank[tile] = Math.max(rank[tile], RANK[data.state[row]]);
      if (column) value[tile] = sum ? value[tile] + column[row] : Math.max(value[tile], column[row]);
    }
  }

  function extent() {
    let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let at = 0; at < bounds.length; at += 4) {
      if (Number.isNaN(bounds[at])) continue;
      west = Math.min(west, bounds[at]);
      south = Math.min(south, bounds[at + 1]);
      east = Math.max(east, bounds[at + 2]);
      north = Math.max(north, bounds[at + 3]);
    }
    return west < Infinity ? [west, south, east, north] : [-180, -90, 180, 90];
  }

  const flat = () => view.value === 'squares';

  function fit() {
    const [west, south, east, north] = extent();
    [x0, y0] = [(west + east) / 2, (south + north) / 2];
    stretch = flat() ? 1 : Math.max(0.2, Math.cos((y0 * Math.PI) / 180)); // degrees of longitude are as long as at the middle
    const room = 0.86;
    scale = Math.min((canvas.clientWidth * room) / Math.max(1e-6, (east - west) * stretch), (canvas.clientHeight * room) / Math.max(1e-6, north - south));
    if (flat()) scale = Math.min(scale, 110);
    draw();
  }

  const toX = (lon) => (lon - x0) * stretch * scale + canvas.clientWidth / 2;
  const toY = (lat) => (y0 - lat) * scale + canvas.clientHeight / 2;
  const toLon = (x) => (x - canvas.clientWidth / 2) / stretch / scale + x0;
  const toLat = (y) => y0 - (y - canvas.clientHeight / 2) / scale;

  function ground(pen, width, height, ink) {
    const span = width / scale / stretch;
    if (span > 2.5) {
      pen.fillStyle = ink.land;
      for (let turn = -360; turn <= 360; turn += 360) {
        if (toX(turn + 180) < 0 || toX(turn - 180) > width) continue;
        pen.beginPath();
        data.land.forEach((ring) => {
          for (let n = 0; n < ring.length; n += 2) pen[n ? 'lineTo' : 'moveTo'](toX(ring[n] + turn), toY(ring[n + 1]));
          pen.closePath();
        });
        pen.fill('evenodd');
      }
    }
    pen.strokeStyle = ink.grid;
    pen.fillStyle = ink.quiet;
    pen.lineWidth = 1;
    const told = (degrees, step, letters) => {
      const turned = letters === 'EW' ? ((degrees + 540) % 360) - 180 : degrees;
      return `${Math.abs(turned).toFixed(Math.max(0, Math.ceil(-Math.log10(step))))}° ${turned < 0 ? letters[1] : turned > 0 ? letters[0] : ''}`;
    };
    const across = steps(toLon(0), toLon(width), Math.max(2, width / 140));
    across.found.forEach((lon) => {
      line(pen, toX(lon), 0, toX(lon), height);
      pen.fillText(told(lon, across.step, 'EW'), toX(lon) + 3, 11);
    });
    const up = steps(Math.max(-90, toLat(height)), Math.min(90, toLat(0)), Math.max(2, height / 110));
    up.found.forEach((lat) => {
      line(pen, 0, toY(lat), width, toY(lat));
      if (toY(lat) > 22) pen.fillText(told(lat, up.step, 'NS'), 3, toY(lat) - 3);
    });
  }

  function ruler(pen, width, height, ink) {
    const km = (width / 6 / scale) * 111.195; // of a degree of latitude on a sphere of 6,371 km
    const length = [1e4, 5e3, 2e3, 1e3, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1].find((one) => one <= km) || 0.1;
    const long = (length / 111.195) * scale;
    pen.fillStyle = ink.ink;
    pen.fillRect(width - long - 12, height - 12, long, 3);
    pen.textAlign = 'right';
    pen.fillText(length < 1 ? `${length * 1000} m` : `${number(length)} km`, width - 12, height - 17);
    pen.textAlign = 'left';
  }

  // Colours in use, which of them a tile has, and what the legend tells.
  function fills(ink) {
    const key = colour.value;
    if (key === 'outcome') return { paint: RANK.map((_, level) => ink.states[RANK.indexOf(level)]), of: (tile) => rank[tile], legend: null };
    let [low, high] = [Infinity, 0];
    for (let tile = 0; tile < value.length; tile += 1) {
      if (rank[tile] < 0 || !(value[tile] > 0)) continue;
      low = Math.min(low, value[tile]);
      high = Math.max(high, value[tile]);
    }
    const log = key === 'seconds' || key === 'read';
    const share = (one) => (high <= low ? 0.5 : log ? Math.log(one / low) / Math.log(high / low) : (one - low) / (high - low));
    return { paint: [...SHADES, ink.soft], of: (tile) => (value[tile] > 0 ? scaled(share(value[tile])) : 64), legend: [low, high, log] };
  }

  // Tiles of a few pixels, pixel by pixel: a hundred thousand rectangles would take the canvas a second.
  function dots(pen, filled, levels) {
    const [width, height] = [canvas.width, canvas.height];
    const ratio = width / canvas.clientWidth;
    const [originX, originY, unitX, unitY] = [toX(0) * ratio, toY(0) * ratio, stretch * scale * ratio, scale * ratio];
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const packed = filled.paint.map((hex) => { const word = parseInt(hex.slice(1), 16); return (0xff000000 | ((word & 255) << 16) | (word & 0xff00) | (word >> 16)) >>> 0; });
    for (let level = 0; level <= levels; level += 1) {
      for (let tile = 0; tile < rank.length; tile += 1) {
        if (rank[tile] !== level) continue;
        const [left, top] = [Math.round(originX + bounds[tile * 4] * unitX), Math.round(originY - bounds[tile * 4 + 3] * unitY)];
        if (!(left >= -8 && top >= -8 && left < width && top < height)) continue;
        const right = Math.min(width, Math.max(left + 1, Math.round(originX + bounds[tile * 4 + 2] * unitX)));
        const bottom = Math.min(height, Math.max(top + 1, Math.round(originY - bounds[tile * 4 + 1] * unitY)));
        const word = packed[filled.of(tile)];
        for (let y = Math.max(0, top); y < bottom; y += 1) pixels.fill(word, y * width + Math.max(0, left), y * width + Math.max(0, right));
      }
    }
    const layer = new OffscreenCanvas(width, height);
    layer.getContext('2d').putImageData(image, 0, 0);
    pen.drawImage(layer, 0, 0, canvas.clientWidth, canvas.clientHeight);
  }

  function boxes(pen, filled, first, ink) {
    const [width, height, large] = [canvas.clientWidth, canvas.clientHeight, []];
    const plain = colour.value === 'outcome';
    for (let level = first; level <= 6; level += 1) {
      const least = plain && level >= 5 ? 4.5 : 1.3; // what failed is seen among a hundred thousand
      for (let tile = 0; tile < rank.length; tile += 1) {
        if (rank[tile] !== level) continue;
        const [left, top] = [toX(bounds[tile * 4]), toY(bounds[tile * 4 + 3])];
        const [wide, high] = [toX(bounds[tile * 4 + 2]) - left, toY(bounds[tile * 4 + 1]) - top];
        if (!(left < width && left + wide > 0 && top < height && top + high > 0)) continue;
        const [w, h] = [Math.max(least, wide), Math.max(least, high)];
        const [x, y] = [left + (wide - w) / 2, top + (high - h) / 2];
        if (plain && level >= 5 && w < 12) { pen.fillStyle = ink.paper; pen.fillRect(x - 1, y - 1, w + 2, h + 2); }
        pen.fillStyle = filled.paint[filled.of(tile)];
        pen.globalAlpha = flat() || wide < 20 ? 1 : 0.82;
        pen.fillRect(x, y, w, h);
        pen.globalAlpha = 1;
        if (wide > 7) { pen.strokeStyle = ink.paper; pen.strokeRect(x, y, w, h); }
        if (wide > 90 && high > 22) large.push([data.tiles[tile], x + 6, y + 15, wide - 10]);
      }
    }
    pen.fillStyle = '#0b1116';
    large.forEach((named) => pen.fillText(...named));
  }

  function draw() {
    waiting = 0;
    const { pen, width, height } = sharp(canvas);
    const ink = colours();
    if (!flat()) ground(pen, width, height, ink);
    const filled = fills(ink);
    const first = firstBox();
    if (first) dots(pen, filled, first - 1);
    boxes(pen, filled, first, ink);
    if (picked >= 0) outline(pen, picked, ink);
    if (!flat()) ruler(pen, width, height, ink);
    legend(filled.legend, ink);
  }

  // Which outcomes are drawn as boxes: all where tiles are large or few, else those that failed, or none by another colour.
  function firstBox() {
    if (data.tiles.length < 5000) return 0;
    const middle = [...bounds.subarray(0, 4000)].filter((_, n) => n % 4 === 2).map((east, n) => east - bounds[n * 4]).filter((one) => one > 0).sort((a, b) => a - b);
    if (!middle.length || middle[middle.length >> 1] * stretch * scale > 6) return 0;
    return colour.value === 'outcome' ? 5 : 7;
  }

  function outline(pen, tile, ink) {
    const [left, top] = [toX(bounds[tile * 4]), toY(bounds[tile * 4 + 3])];
    pen.strokeStyle = ink.ink;
    pen.lineWidth = 2;
    pen.strokeRect(left - 2, top - 2, Math.max(4, toX(bounds[tile * 4 + 2]) - left) + 4, Math.max(4, toY(bounds[tile * 4 + 1]) - top) + 4);
  }

  function legend(scaleOf, ink) {
    const box = document.getElementById('legend');
    box.replaceChildren();
    if (scaleOf) {
      const told = { seconds: duration, read: size }[colour.value] || number;
      const shown = colour.value === 'verdict' ? (one) => VERDICTS[one] : told;
      if (!(scaleOf[1] > 0)) { box.append('nothing to show'); return; }
      const bar = make('canvas', { width: 90, height: 1 });
      const pen = bar.getContext('2d');
      for (let x = 0; x < 90; x += 1) { pen.fillStyle = SHADES[scaled(x / 89)]; pen.fillRect(x, 0, 1, 1); }
      box.append(make('span', {}, shown(scaleOf[0])), make('span', {}, bar), make('span', {}, `${shown(scaleOf[1])}${scaleOf[2] ? ' (logarithmic)' : ''}`));
      return;
    }
    const there = new Set(rank);
    [0, 1, 6, 5, 4, 3, 2].forEach((state) => {
      if (there.has(RANK[state])) box.append(make('span', {}, make('i', { className: `dot s-${STATES[state]}` }), WORDS[state]));
    });
    if (!box.childNodes.length) box.append('no job is shown');
  }

  function redraw() { if (!waiting) waiting = requestAnimationFrame(draw); }

  function at(event) {
    const frame = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    const [lon, lat, slack] = [toLon(x), toLat(y), 3 / scale];
    let best = -1;
    for (let tile = 0; tile < rank.length; tile += 1) {
      const place = tile * 4;
      if (rank[tile] < 0 || !(lat >= bounds[place + 1] - slack && lat <= bounds[place + 3] + slack)) continue;
      if (!(lon >= bounds[place] - slack / stretch && lon <= bounds[place + 2] + slack / stretch)) continue;
      if (best < 0 || rank[tile] > rank[best]) best = tile;
    }
    return best;
  }

  function rowsOf(tile) {
    const rows = [];
    for (let row = 0; row < data.count; row += 1) if (data.tile[row] === tile && filter.mask[row]) rows.push(row);
    return rows.sort((a, b) => RANK[data.state[b]] - RANK[data.state[a]]);
  }

  function told(tile) {
    const rows = rowsOf(tile);
    const lines = rows.slice(0, 6).map((row) => `${data.products[data.product[row]]} ${data.periods[data.period[row]]}: ${WORDS[data.state[row]]}${data.seconds[row] ? `, ${duration(data.seconds[row])}` : ''}`);
    return [data.tiles[tile], ...lines, ...(rows.length > 6 ? [`and ${number(rows.length - 6)} more`] : [])].join('\n');
  }

  function pick(tile) {
    picked = tile;
    const box = document.getElementById('tile');
    box.replaceChildren();
    redraw();
    if (tile < 0) return;
    const [west, south, east, north] = found.places.subarray(tile * 4, tile * 4 + 4);
    const where = Number.isNaN(west) ? '' : ` · ${west.toFixed(4)}, ${south.toFixed(4)} to ${east.toFixed(4)}, ${north.toFixed(4)}`;
    const rows = rowsOf(tile);
    const only = make('button', { type: 'button', onclick: () => filter.onlyTile(data.tiles[tile]) }, 'Only this tile');
    box.append(make('h3', {}, `${data.tiles[tile]}${where} `, only));
    const body = make('tbody', {}, ...rows.slice(0, 60).map((row) => jobRow(data, row)));
    box.append(make('div', { className: 'scroll' }, make('table', {}, make('thead', {}, make('tr', {}, ...HEAD.map(([word, , right]) => make('th', { className: right ? 'n' : '', scope: 'col' }, word)))), body)));
    if (rows.length > 60) box.append(make('p', { className: 'note' }, `and ${number(rows.length - 60)} more`));
  }

  function zoom(factor, x, y) {
    const [lon, lat] = [toLon(x), toLat(y)];
    scale = Math.max(0.4, Math.min(scale * factor, 4e6));
    x0 = lon - (x - canvas.clientWidth / 2) / stretch / scale;
    y0 = lat + (y - canvas.clientHeight / 2) / scale;
    redraw();
  }

  steer(canvas, {
    move: (dx, dy) => { x0 -= dx / stretch / scale; y0 += dy / scale; redraw(); },
    zoom, fit, pick: (event) => pick(at(event)),
    hover: (event) => { const tile = at(event); showTip(event, tile < 0 ? '' : told(tile)); },
  });
  document.getElementById('map-in').addEventListener('click', () => zoom(1.6, canvas.clientWidth / 2, canvas.clientHeight / 2));
  document.getElementById('map-out').addEventListener('click', () => zoom(1 / 1.6, canvas.clientWidth / 2, canvas.clientHeight / 2));
  document.getElementById('map-fit').addEventListener('click', fit);
  colour.addEventListener('change', () => { gather(); draw(); });
  view.addEventListener('change', () => { bounds = flat() ? found.squares : found.places; fit(); });
  bounds = flat() ? found.squares : found.places;
  const nowhere = data.tiles.length - found.placed;
  document.getElementById('map-note').textContent = [
    'Of several jobs of a tile the worst outcome is shown. Drag to move; the wheel zooms once the map was clicked; arrows, + and − work too.',
    nowhere ? `${number(nowhere)} of ${number(data.tiles.length)} tiles have no place on a map (floats, or a plan that does not say): see squares.` : '',
  ].join(' ');
  filter.changed(() => { gather(); redraw(); });
  return { fit, draw: redraw, gather, pick };
}
