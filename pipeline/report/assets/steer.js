// Mouse, fingers and keys on a map.
function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  pen.lineTo(Math.round(x2) + 0.5, Math.round(y2) + 0.5);
  pen.stroke();
}

function steer(canvas, does) {
  const held = new Map();
  let moved = 0;
  const spread = () => {
    const [one, two] = [...held.values()];
    return [Math.hypot(one.x - two.x, one.y - two.y), (one.x + two.x) / 2, (one.y + two.y) / 2];
  };
  canvas.addEventListener('pointerdown', (event) => {
    held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    moved = 0;
    showTip(event, '');
  });
  canvas.addEventListener('pointermove', (event) => {
    const last = held.get(event.pointerId);
    if (!last) { if (event.pointerType === 'mouse') does.hover(event); return; }
    const before = held.size === 2 ? spread() : null;
    const [dx, dy] = [event.offsetX - last.x, event.offsetY - last.y];
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved > 3 && !canvas.hasPointerCapture(event.pointerId)) canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (before) {
      const after = spread();
      does.move(after[1] - before[1], after[2] - before[2]);
      does.zoom(after[0] / Math.max(1, before[0]), after[1], after[2]);
    } else if (moved > 3) does.move(dx, dy);
  });
  const drop = (event) => held.delete(event.pointerId);
  canvas.addEventListener('pointerup', (event) => {
    if (held.has(event.pointerId) && held.size === 1 && moved <= 3) does.pick(event);
    drop(event);
  });
  canvas.addEventListener('pointercancel', drop);
  canvas.addEventListener('pointerleave', (event) => { showTip(event, ''); });
  canvas.addEventListener('dblclick', (event) => does.zoom(2, event.offsetX, event.offsetY));
  canvas.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return; // the page scrolls past a map that nobody uses
    event.preventDefault();
    does.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 12 : 350)), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener('keydown', (event) => {
    const [x, y] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
    const act = {
      ArrowLeft: () => does.move(60, 0), ArrowRight: () => does.move(-60, 0), ArrowUp: () => does.move(0, 60), ArrowDown: () => does.move(0, -60),
      '+': () => does.zoom(1.5, x, y), '=': () => does.zoom(1.5, x, y), '-': () => does.zoom(1 / 1.5, x, y), 0: () => does.fit(),
    }[event.key];
    if (act && !event.ctrlKey && !event.metaKey) { event.preventDefault(); act(); }
  });
}
