// How long jobs took: a histogram with logarithmic bins, a line for each product.
const HUES = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#8a6d3b', '#7f7f7f'];

function makeDurations(data, filter) {
  const canvas = document.getElementById('durations');
  const note = document.getElementById('durations-note');

  function draw() {
    const { pen, width, height } = sharp(canvas);
    const ink = colours();
    const each = new Map();
    let [low, high] = [Infinity, 0];
    for (let row = 0; row < data.count; row += 1) {
      const seconds = data.seconds[row];
      if (!filter.mask[row] || data.state[row] !== 0 || !(seconds > 0)) continue;
      if (!each.has(data.product[row])) each.set(data.product[row], []);
      each.get(data.product[row]).push(seconds);
      low = Math.min(low, seconds);
      high = Math.max(high, seconds);
    }
    if (!each.size) {
      note.textContent = 'No job that is shown was done.';
      return;
    }
    low = Math.max(low * 0.9, 1e-3);
    high = Math.max(high * 1.1, low * 4);
    const total = [...each.values()].reduce((sum, times) => sum + times.length, 0);
    const count = Math.round(Math.max(10, Math.min(60, width / 16, 6 + 2.5 * Math.sqrt(total))));
    const place = (seconds) => Math.log(seconds / low) / Math.log(high / low);
    const sums = new Map([...each].map(([product, times]) => {
      const bins = new Float32Array(count);
      times.forEach((seconds) => { bins[Math.max(0, Math.min(count - 1, Math.floor(place(seconds) * count)))] += 1; });
      return [product, bins];
    }));
    const most = Math.max(...[...sums.values()].map((bins) => Math.max(...bins)));
    const [left, bottom] = [40, height - 20];
    const toX = (share) => left + share * (width - left - 8);
    const toY = (value) => bottom - (value / most) * (bottom - 10);
    axes(pen, ink, { width, bottom, low, high, most, place, toX, toY });
    [...sums].forEach(([product, bins]) => {
      pen.beginPath();
      pen.moveTo(toX(0), toY(0));
      bins.forEach((value, n) => { pen.lineTo(toX(n / count), toY(value)); pen.lineTo(toX((n + 1) / count), toY(value)); });
      pen.lineTo(toX(1), toY(0));
      pen.fillStyle = pen.strokeStyle = HUES[product % HUES.length];
      pen.globalAlpha = 0.16;
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 1.6;
      pen.stroke();
      pen.lineWidth = 1;
    });
    tell(each);
  }

  function axes(pen, ink, { width, bottom, low, high, most, place, toX, toY }) {
    pen.textAlign = 'right';
    pen.strokeStyle = ink.rule;
    pen.fillStyle = ink.quiet;
    steps(0, most, 4).found.filter((value) => value % 1 === 0).forEach((value) => {
      line(pen, toX(0), toY(value), width - 8, toY(value));
      pen.fillText(number(value), toX(0) - 6, toY(value) + 4);
    });
    pen.textAlign = 'center';
    [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10800, 36000, 86400].forEach((seconds) => {
      if (seconds < low || seconds > high) return;
      line(pen, toX(place(seconds)), bottom, toX(place(seconds)), bottom + 4);
      const word = seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${seconds / 60} min` : `${seconds / 3600} h`;
      pen.fillText(word, toX(place(seconds)), bottom + 16);
    });
    pen.textAlign = 'left';
  }

  function tell(each) {
    note.replaceChildren(...[...each].sort((a, b) => b[1].length - a[1].length).map(([product, times]) => {
      const sorted = Float32Array.from(times).sort();
      const dot = make('i', { className: 'dot' });
      dot.style.background = HUES[product % HUES.length];
      return make('span', { className: 'entry' }, dot, `${data.products[product]}: ${number(times.length)} done, median ${duration((sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2)}`);
    }), make('span', {}, 'Logarithmic; last attempts of jobs that are done and shown.'));
  }

  filter.changed(draw);
  return { draw };
}
