// The account: typed columns out of the block that the page carries.
const STATES = ['done', 'skipped', 'open', 'claimed', 'cancelled', 'blocked', 'failed'];
const WORDS = ['done', 'skipped', 'open', 'left to another run', 'not started', 'blocked', 'failed'];
const VERDICTS = ['–', 'pass', 'warn', 'fail'];
const NONE = 65535;
const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array, f4: Float32Array };

async function readData() {
  const text = document.getElementById('data').textContent;
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  const block = await new Response(stream).arrayBuffer();
  const length = new DataView(block).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(block, 4, length)));
  const data = { ...head, tiles: head.tiles ? head.tiles.split('\n') : [] };
  for (const [name, [kind, offset, size]] of Object.entries(head.columns)) {
    data[name] = new KINDS[kind](block, 4 + length + offset, size);
  }
  data.count = data.state.length;
  data.land = readLand(data.land);
  return data;
}

// Rings of longitudes and latitudes in degrees: for each its number of points, first values and steps, in 1/50 degree.
function readLand(words) {
  const rings = [];
  let at = 1;
  for (let ring = 0; ring < words[0]; ring += 1) {
    const size = words[at];
    at += 1;
    const points = new Float32Array(size * 2);
    for (let axis = 0; axis < 2; axis += 1) {
      let sum = 0;
      for (let n = 0; n < size; n += 1) {
        sum += words[at];
        at += 1;
        points[n * 2 + axis] = sum / 50;
      }
    }
    rings.push(points);
  }
  return rings;
}

function jobName(data, row) {
  return `${data.products[data.product[row]]}/${data.tiles[data.tile[row]]}/${data.periods[data.period[row]]}`;
}

// Whole messages are kept of the first failures alone; of all others the cause is told.
function message(data, row) {
  return data.messages[row] || (data.cause[row] === NONE ? '' : data.causes[data.cause[row]]);
}
