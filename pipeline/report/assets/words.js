// Numbers for people, colours of the scheme in use, canvases as sharp as the screen.
const style = () => getComputedStyle(document.documentElement);

function duration(seconds) {
  if (!(seconds >= 0)) return '–';
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const minutes = Math.round(seconds / 60);
  if (seconds < 3570) return `${Math.floor(Math.round(seconds) / 60)} min ${Math.round(seconds) % 60} s`;
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

function size(bytes) {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(1)} ${' kMGT'[power]}B`;
}

const number = (value) => value.toLocaleString('en');

function make(tag, fields, ...children) {
  const one = Object.assign(document.createElement(tag), fields || {});
  one.append(...children);
  return one;
}

function colours() {
  const found = style();
  const named = (name) => found.getPropertyValue(`--${name}`).trim();
  return {
    states: STATES.map((state) => named(`s-${state}`)),
    ink: named('ink'), quiet: named('quiet'), rule: named('rule'), paper: named('paper'),
    accent: named('accent'), land: named('land'), grid: named('grid'), soft: named('soft'),
  };
}

// viridis in eight steps: even to the eye, also in grey and to the colour-blind.
const SCALE = [[68, 1, 84], [70, 50, 127], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 194, 109], [159, 218, 58], [253, 231, 37]];

const SHADES = Array.from({ length: 64 }, (_, n) => {
  const place = (n / 64) * (SCALE.length - 1);
  const [low, high, part] = [SCALE[Math.floor(place)], SCALE[Math.floor(place) + 1], place % 1];
  return `#${low.map((value, axis) => Math.round(value + (high[axis] - value) * part).toString(16).padStart(2, '0')).join('')}`;
});

const scaled = (share) => Math.min(63, Math.max(0, Math.floor(share * 64)));

function sharp(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '11px system-ui, sans-serif';
  return { pen, width, height };
}

const tip = make('div', { id: 'tip', hidden: true });

function showTip(event, text) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 12 : event.clientY + 18}px`;
}

// Round numbers from low to high, about `wanted` of them.
function steps(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Math.abs(value) < step * 1e-6 ? 0 : value);
  return { found, step };
}

// The same for times: seconds, minutes, hours or days.
function timeSteps(span, wanted) {
  const allowed = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000];
  const step = allowed.find((one) => one >= span / wanted) || 864000;
  const found = [];
  for (let value = 0; value <= span; value += step) found.push(value);
  const clock = (value) => `${Math.floor(value / 3600)}:${String(Math.round(value / 60) % 60).padStart(2, '0')} h`;
  const name = (value) => {
    if (step >= 86400) return `${value / 86400} d`;
    if (span >= 7200) return clock(value);
    return step >= 60 ? `${Math.round(value / 60)} min` : `${Math.round(value * 10) / 10} s`;
  };
  return { found, name };
}
