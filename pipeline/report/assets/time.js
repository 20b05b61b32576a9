// When jobs ran, a lane for each region: single jobs where there are few, how many at once where there are many.
const MOST_BARS = 2000;
const MOST_SLOTS = 28;

function makeTimeline(data, filter) {
  const box = document.getElementById('lanes');
  const span = Math.max(data.span, 0.001);
  const lanes = data.regions.map((name, region) => {
    const rows = [];
    for (let row = 0; row < data.count; row += 1) if (data.region[row] === region && data.begun[row] >= 0) rows.push(row);
    return { name: name || 'no region', region, rows: Uint32Array.from(rows).sort((a, b) => data.begun[a] - data.begun[b]) };
  }).filter((lane) => lane.rows.length);
  lanes.forEach((lane) => {
    lane.canvas = make('canvas', { tabIndex: -1 });
    lane.canvas.setAttribute('role', 'img');
    lane.canvas.setAttribute('aria-label', `Jobs of ${lane.name} over time`);
    box.append(make('h3', {}, lane.name), lane.canvas);
    lane.workers = workersOf(lane.region);
    lane.canvas.addEventListener('mousemove', (event) => hover(lane, event));
    lane.canvas.addEventListener('mouseleave', (event) => showTip(event, ''));
  });

  // Steps of the number of workers of all the region's clusters: [time, number].
  function workersOf(region) {
    const each = new Map();
    const found = [];
    for (let n = 0; n < data.clusterTime.length; n += 1) {
      if (data.clusterRegion[n] !== region) continue;
      const ends = ['closed', 'lost', 'failed'].includes(data.clusterStates[n]);
      each.set(data.clusterShard[n], ends ? 0 : data.clusterWorkers[n]);
      found.push([data.clusterTime[n], [...each.values()].reduce((sum, one) => sum + one, 0), data.clusterStates[n], data.clusterNotes[n]]);
    }
    return found;
  }

  function slotsOf(rows) {
    const free = [];
    const slots = rows.map((row) => {
      let slot = free.findIndex((until) => until <= data.begun[row] + 1e-3);
      if (slot < 0) slot = free.length;
      free[slot] = data.begun[row] + data.seconds[row];
      return slot;
    });
    return { slots, count: free.length };
  }

  const LEFT = 38;
  const toX = (time, width) => LEFT + (time / span) * (width - LEFT - 8);

  function axis(pen, width, height, ink) {
    pen.strokeStyle = ink.rule;
    pen.fillStyle = ink.quiet;
    const { found, name } = timeSteps(span, Math.max(2, width / 110));
    found.forEach((time) => {
      line(pen, toX(time, width), 4, toX(time, width), height - 16);
      pen.textAlign = toX(time, width) > width - 30 ? 'right' : 'left';
      pen.fillText(name(time), toX(time, width) + 2, height - 4);
    });
    pen.textAlign = 'left';
  }

  function bars(lane, pen, width, height, ink) {
    lane.boxes = [];
    const room = (height - 22) / lane.slots.count;
    lane.shown.forEach((row, n) => {
      const [x, y] = [toX(data.begun[row], width), 4 + lane.slots.slots[n] * room];
      const wide = Math.max(1.5, toX(data.begun[row] + data.seconds[row], width) - x - 0.6);
      pen.fillStyle = ink.states[data.state[row]];
      pen.fillRect(x, y, wide, Math.max(1, Math.min(room - 1, 22)));
      lane.boxes.push([x, y, wide, room, row]);
    });
  }

  function area(lane, pen, width, height, ink) {
    const count = Math.max(20, Math.floor((width - LEFT - 8) / 2));
    const step = span / count;
    const [good, bad] = [new Float32Array(count), new Float32Array(count)];
    lane.shown.forEach((row) => {
      const [from, to] = [data.begun[row], data.begun[row] + data.seconds[row]];
      const into = data.state[row] === 0 ? good : bad;
      for (let bin = Math.max(0, Math.floor(from / step)); bin < count && bin * step < to; bin += 1) {
        into[bin] += Math.max(0, Math.min(to, (bin + 1) * step) - Math.max(from, bin * step)) / step;
      }
    });
    const most = Math.max(1, ...good.map((one, n) => one + bad[n]), ...lane.workers.map((one) => one[1]));
    const toY = (value) => height - 18 - (value / most) * (height - 28);
    pen.textAlign = 'right';
    steps(0, most, 3).found.forEach((value) => {
      pen.strokeStyle = ink.rule;
      line(pen, LEFT, toY(value), width - 8, toY(value));
      pen.fillStyle = ink.quiet;
      pen.fillText(number(value), LEFT - 5, toY(value) + 4);
    });
    pen.textAlign = 'left';
    const wide = (width - LEFT - 8) / count;
    for (let bin = 0; bin < count; bin += 1) {
      pen.fillStyle = ink.states[0];
      pen.fillRect(LEFT + bin * wide, toY(good[bin]), wide + 0.3, toY(0) - toY(good[bin]));
      if (!bad[bin]) continue;
      pen.fillStyle = ink.states[6];
      const high = Math.max(2, toY(0) - toY(bad[bin]));
      pen.fillRect(LEFT + bin * wide, toY(good[bin]) - high, wide + 0.3, high);
    }
    lane.bins = { good, bad, step, wide };
    if (!lane.workers.length) return;
    pen.strokeStyle = ink.ink;
    pen.lineWidth = 1.5;
    pen.beginPath();
    lane.workers.forEach(([time, count_], n) => {
      if (n) pen.lineTo(toX(time, width), toY(lane.workers[n - 1][1]));
      pen[n ? 'lineTo' : 'moveTo'](toX(time, width), toY(count_));
    });
    pen.stroke();
    pen.lineWidth = 1;
  }

  function marks(lane, pen, width, height, ink) {
    const up = lane.workers.find((one) => one[2] === 'up');
    if (up && toX(up[0], width) - LEFT > 12) {
      pen.fillStyle = ink.soft;
      pen.fillRect(LEFT, 4, toX(up[0], width) - LEFT, height - 20);
      pen.fillStyle = ink.quiet;
      pen.fillText('cluster opens', LEFT + 5, height / 2, toX(up[0], width) - LEFT - 8);
    }
    lane.workers.forEach(([time, , state]) => {
      if (state !== 'lost' && state !== 'failed') return;
      pen.strokeStyle = ink.states[6];
      pen.setLineDash([3, 3]);
      line(pen, toX(time, width), 2, toX(time, width), height - 16);
      pen.setLineDash([]);
      pen.fillStyle = ink.states[6];
      pen.fillText(state === 'lost' ? 'cluster lost' : 'no cluster', toX(time, width) + 4, 13);
    });
  }

  function draw() {
    const ink = colours();
    lanes.forEach((lane) => {
      lane.shown = [...lane.rows.filter((row) => filter.mask[row])];
      lane.slots = lane.shown.length <= MOST_BARS ? slotsOf(lane.shown) : null;
      const single = lane.slots && lane.slots.count <= MOST_SLOTS;
      lane.canvas.style.height = single ? `${Math.max(56, Math.min(300, lane.slots.count * 17 + 24))}px` : '';
      const { pen, width, height } = sharp(lane.canvas);
      axis(pen, width, height, ink);
      lane.bins = null;
      lane.boxes = null;
      (single ? bars : area)(lane, pen, width, height, ink);
      marks(lane, pen, width, height, ink);
    });
    workers.hidden = !lanes.some((lane) => lane.bins && lane.workers.length);
  }

  function hover(lane, event) {
    const [x, y] = [event.offsetX, event.offsetY];
    const time = ((x - LEFT) / (lane.canvas.clientWidth - LEFT - 8)) * span;
    if (time < 0 || time > span) { showTip(event, ''); return; }
    const when = data.began ? `${new Date((data.began + time) * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC` : duration(time);
    if (lane.boxes) {
      const box_ = lane.boxes.find(([left, top, wide, high]) => x >= left - 1 && x <= left + wide + 1 && y >= top && y <= top + high);
      showTip(event, box_ ? `${jobName(data, box_[4])}\n${WORDS[data.state[box_[4]]]}, ${duration(data.seconds[box_[4]])}\n${when}` : '');
      return;
    }
    const bin = Math.min(lane.bins.good.length - 1, Math.floor(time / lane.bins.step));
    const there = lane.workers.filter((one) => one[0] <= time).at(-1);
    showTip(event, `${when}\n${lane.bins.good[bin].toFixed(1)} jobs at once${lane.bins.bad[bin] ? `, ${lane.bins.bad[bin].toFixed(1)} of those not done` : ''}${there ? `\n${number(there[1])} workers` : ''}`);
  }

  const legend = document.getElementById('time-legend');
  [[0, 'done'], [6, 'failed or not done']].forEach(([state, word]) => legend.append(make('span', {}, make('i', { className: `dot s-${STATES[state]}` }), word)));
  const workers = make('span', {}, make('i', { className: 'line' }), 'workers');
  legend.append(workers);
  document.getElementById('time-note').textContent = lanes.length
    ? 'Last attempts of jobs, by the clocks of their workers, from the run\'s first record on. Jobs of one task (neighbouring tiles) are told one by one.'
    : 'No job of this run began, or no times were written down.';
  filter.changed(draw);
  return { draw };
}
