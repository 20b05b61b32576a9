// Plots as SVG: profiles against pressure, and a series over time. Every point carries its numbers as data.

const SVG = 'http://www.w3.org/2000/svg';
export const FLAGS = [
  ['#7b8a90', 'no QC'], ['#1f77b4', 'good'], ['#2ca089', 'probably good'], ['#e08e0b', 'probably bad'], ['#c5221f', 'bad'],
  ['#8e5bb5', 'changed'], ['#7b8a90', 'flag 6'], ['#7b8a90', 'flag 7'], ['#6b8e23', 'estimated'], ['#7b8a90', 'missing'],
];

export function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Round numbers between two ends, about as many as asked for.
export function ticks(low, high, about) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) found.push(+(n * step).toPrecision(10));
  return found;
}

function ends(values) {
  const numbers = values.filter((value) => value !== null && value !== undefined);
  if (!numbers.length) return [0, 1];
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.02 || 0.5;
  return [low - pad, high + pad];
}

const NAMES = { TEMP: 'temperature, °C', PSAL: 'practical salinity' };

// One axis of values for each parameter, side by side on one axis of pressure that points down.
export function drawProfile(profile, shown) {
  const pressure = profile.parameters.find((one) => one.name === 'PRES');
  const others = profile.parameters.filter((one) => one.name !== 'PRES');
  const width = 330, row = 300, columns = others.length > 1 ? 2 : 1, left = 40, gap = 16;
  const rows = Math.max(1, Math.ceil(others.length / columns));
  const each = (width - left - gap * (columns - 1)) / columns;
  const svg = shape('svg', { class: 'plot', viewBox: `0 0 ${width} ${rows * (row + 46)}`, role: 'img' });
  svg.append(shape('title', {}, `Profile ${profile.cycle} of float ${profile.wmo} against pressure`));
  const deepest = Math.max(10, ...[...pressure.best, ...pressure.raw].filter((value) => value !== null)) * 1.02;
  others.forEach((parameter, number) => {
    const x = left + (number % columns) * (each + gap);
    const y = Math.floor(number / columns) * (row + 46) + 30;
    svg.append(panel(parameter, pressure, { x, y, width: each, height: row - 4, deepest, shown, first: number % columns === 0 }));
  });
  return svg;
}

function panel(parameter, pressure, place) {
  const { x, y, width, height, deepest, shown } = place;
  const group = shape('g', { 'data-parameter': parameter.name });
  const wanted = [...(shown.best ? parameter.best : []), ...(shown.raw ? parameter.raw : [])];
  const [low, high] = ends(wanted);
  const across = (value) => x + ((value - low) / (high - low)) * width;
  const down = (value) => y + (value / deepest) * height;
  group.append(shape('rect', { class: 'axis', x, y, width, height }));
  const unit = parameter.unit && parameter.unit !== '1' ? `, ${parameter.unit}` : '';
  group.append(shape('text', { class: 'name', x, y: y - 18 }, NAMES[parameter.name] ?? `${parameter.name}${unit}`));
  for (const tick of ticks(low, high, 4)) {
    group.append(shape('line', { class: 'axis', x1: across(tick), x2: across(tick), y1: y, y2: y + height }));
    group.append(shape('text', { x: across(tick), y: y - 5, 'text-anchor': 'middle' }, String(tick)));
  }
  for (const tick of ticks(0, deepest, 8)) {
    group.append(shape('line', { class: 'axis', x1: x, x2: x + width, y1: down(tick), y2: down(tick) }));
    if (place.first) group.append(shape('text', { x: x - 6, y: down(tick) + 4, 'text-anchor': 'end' }, String(tick)));
  }
  if (place.first) group.append(shape('text', { x: x - 6, y: y - 5, 'text-anchor': 'end' }, 'dbar'));
  if (shown.raw) group.append(...curve('raw', pressure.raw, parameter.raw, parameter.raw_qc, across, down));
  if (shown.best) group.append(...curve('best', pressure.best, parameter.best, parameter.qc, across, down));
  return group;
}

function curve(kind, pressures, values, flags, across, down) {
  const points = [];
  values.forEach((value, level) => {
    const pressure = pressures[level];
    if (value !== null && pressure !== null && pressure !== undefined) points.push([pressure, value, flags[level]]);
  });
  const line = points.map(([pressure, value]) => `${across(value).toFixed(1)},${down(pressure).toFixed(1)}`).join(' ');
  const dots = points.map(([pressure, value, flag]) => {
    const colour = FLAGS[flag]?.[0] ?? FLAGS[0][0];
    const look = kind === 'best' ? { fill: colour } : { fill: 'none', stroke: colour };
    const said = { 'data-kind': kind, 'data-pres': pressure, 'data-value': value, 'data-qc': flag ?? '' };
    const dot = shape('circle', { cx: across(value).toFixed(1), cy: down(pressure).toFixed(1), r: kind === 'best' ? 2.1 : 2.6, ...said, ...look });
    dot.append(shape('title', {}, `${value} at ${pressure} dbar: ${FLAGS[flag]?.[1] ?? 'no flag'}`));
    return dot;
  });
  return [shape('polyline', { class: kind, points: line }), ...dots];
}

// Values over time; steps without a number leave a gap.
export function drawSeries(steps, chosen) {
  const width = 330, height = 120, left = 44, bottom = 18;
  const svg = shape('svg', { class: 'plot', viewBox: `0 0 ${width} ${height + bottom + 6}`, role: 'img' });
  svg.append(shape('title', {}, 'Values at this place over time'));
  const times = steps.map((step) => Date.parse(step.time));
  const [low, high] = ends(steps.map((step) => step.value));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const across = (time) => (last > first ? left + 8 + ((time - first) / (last - first)) * (width - left - 16) : (left + width) / 2);
  const down = (value) => 6 + ((high - value) / (high - low)) * (height - 6);
  for (const tick of ticks(low, high, 4)) {
    svg.append(shape('line', { class: 'axis', x1: left, x2: width, y1: down(tick), y2: down(tick) }));
    svg.append(shape('text', { x: left - 6, y: down(tick) + 4, 'text-anchor': 'end' }, String(tick)));
  }
  const runs = [[]];
  steps.forEach((step, number) => {
    if (step.value === null) runs.push([]);
    else runs.at(-1).push(`${across(times[number]).toFixed(1)},${down(step.value).toFixed(1)}`);
  });
  for (const run of runs) svg.append(shape('polyline', { class: 'best', points: run.join(' ') }));
  steps.forEach((step, number) => {
    if (step.value === null) return;
    const here = { cx: across(times[number]).toFixed(1), cy: down(step.value).toFixed(1), r: step.period === chosen ? 4.5 : 3 };
    const dot = shape('circle', { ...here, class: 'dot', 'data-time': step.time, 'data-value': step.value });
    dot.append(shape('title', {}, `${step.time.slice(0, 10)}: ${step.value}`));
    svg.append(dot);
  });
  const day = (time) => new Date(time).toISOString().slice(0, 10);
  svg.append(shape('text', { x: left, y: height + bottom }, day(first)));
  if (last > first) svg.append(shape('text', { x: width, y: height + bottom, 'text-anchor': 'end' }, day(last)));
  return svg;
}
