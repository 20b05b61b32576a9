// The map: tiles of one layer, outlines of items, floats, and a grid of degrees in place of a background from elsewhere.

/* global L */

const WORLD = [[-85, -180], [85, 180]];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class OutputMap {
  constructor(element, told) {
    this.told = told;
    this.map = L.map(element, { minZoom: 1, maxZoom: 20, worldCopyJump: true, attributionControl: false, zoomControl: false });
    L.control.zoom({ position: 'topright' }).addTo(this.map);
    L.control.scale({ imperial: false, position: 'topright' }).addTo(this.map);
    for (const name of ['outlines', 'degrees', 'floats', 'clicked']) this[name] = L.layerGroup().addTo(this.map);
    this.tiles = null;
    this.placed = false;
    this.map.on('moveend', () => { this.placed = true; this.drawDegrees(); told.moved(); });
    this.map.on('click', (event) => told.clicked(event.latlng.wrap()));
    window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.drawDegrees(); told.moved(); });
  }

  show(view) { this.map.setView([view.lat, view.lon], view.zoom); }

  fit(bounds) {
    if (!bounds) { this.map.fitBounds(WORLD); return; }
    const [west, south, east, north] = bounds;
    this.map.fitBounds([[south, west], [north, east]], { padding: [32, 32], maxZoom: 15 });
  }

  sees([west, south, east, north]) { return this.map.getBounds().intersects([[south, west], [north, east]]); }

  view() {
    const centre = this.map.getCenter().wrap();
    return { lat: centre.lat, lon: centre.lng, zoom: this.map.getZoom() };
  }

  // West, south, east, north as the server wants them: between -180 and 180, west beyond east across the antimeridian.
  box() {
    const bounds = this.map.getBounds();
    const [south, north] = [Math.max(-90, bounds.getSouth()), Math.min(90, bounds.getNorth())];
    if (bounds.getEast() - bounds.getWest() >= 360) return { west: -180, south, east: 180, north };
    const wrap = (x) => ((((x + 180) % 360) + 360) % 360) - 180;
    return { west: wrap(bounds.getWest()), south, east: wrap(bounds.getEast()), north };
  }

  drawTiles(address, minZoom, opacity) {
    if (this.tiles) this.tiles.remove();
    this.tiles = null;
    if (!address) return;
    const sharp = window.devicePixelRatio > 1 ? 512 : 256;
    this.tiles = L.tileLayer(`${address}&size=${sharp}`, { minZoom, maxZoom: 20, opacity, updateWhenIdle: false });
    this.tiles.on('load', () => this.told.drawn());
    this.tiles.on('tileerror', (event) => this.told.failed(event.tile.src));
    this.tiles.addTo(this.map);
  }

  fade(opacity) { if (this.tiles) this.tiles.setOpacity(opacity); }

  drawOutlines(collection) {
    this.outlines.clearLayers();
    if (!collection) return;
    const most = Math.max(1, ...collection.features.map((feature) => feature.properties.count ?? 0));
    const style = ({ properties }) => (collection.cells
      ? { color: colour('--accent'), weight: 1, opacity: 0.35, fillOpacity: 0.12 + (0.5 * properties.count) / most }
      : {
        color: { warn: colour('--warn'), fail: colour('--fail') }[properties.status] ?? colour('--line'),
        weight: properties.status === 'warn' || properties.status === 'fail' ? 2 : 1, opacity: 0.75, fill: false,
        dashArray: properties.adopted ? '5 4' : null,
      });
    const pointToLayer = (feature, place) => L.circleMarker(place, { radius: 4 });
    this.outlines.addLayer(L.geoJSON(collection, { style, interactive: false, pointToLayer }));
  }

  drawFloats(floats, chosen, profiles) {
    this.floats.clearLayers();
    const accent = colour('--accent');
    for (const profile of profiles) {
      if (profile.longitude === null || !Number.isFinite(profile.longitude)) continue;
      const dot = L.circleMarker([profile.latitude, profile.longitude], { radius: 4, color: accent, weight: 1, fillOpacity: 0.4 });
      dot.on('click', (event) => { L.DomEvent.stop(event); this.told.profile(profile); });
      this.floats.addLayer(dot);
    }
    for (const one of floats) {
      const mine = one.wmo === chosen;
      const look = { radius: mine ? 8 : 6, color: colour('--ground'), weight: 2, fillColor: mine ? colour('--warn') : accent, fillOpacity: 1 };
      const dot = L.circleMarker([one.latitude, one.longitude], look);
      const name = document.createElement('span');
      name.textContent = `Float ${one.wmo}, ${one.profiles} profiles`;
      dot.bindTooltip(name);
      dot.on('click', (event) => { L.DomEvent.stop(event); this.told.float(one.wmo); });
      this.floats.addLayer(dot);
      dot.getElement().setAttribute('data-wmo', one.wmo);
    }
  }

  mark(place) {
    this.clicked.clearLayers();
    if (!place) return;
    const look = { radius: 6, color: colour('--ground'), weight: 3, fill: false, interactive: false };
    this.clicked.addLayer(L.circleMarker(place, look));
    this.clicked.addLayer(L.circleMarker(place, { ...look, radius: 7, color: colour('--fail'), weight: 2 }));
  }

  // Meridians and parallels about every 110 px, with their degrees along the left and the bottom.
  drawDegrees() {
    this.degrees.clearLayers();
    const bounds = this.map.getBounds();
    const wide = (bounds.getEast() - bounds.getWest()) / (this.map.getSize().x / 110);
    const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45];
    const step = steps.find((each) => each >= wide) ?? 60;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const [south, north] = [Math.max(-85, bounds.getSouth()), Math.min(85, bounds.getNorth())];
    const [west, east] = [bounds.getWest(), bounds.getEast()];
    for (let n = Math.ceil(west / step); n * step <= east; n += 1) {
      const x = n * step;
      const turned = ((((x + 180) % 360) + 360) % 360) - 180;
      this.line([[south, x], [north, x]]);
      this.label([bounds.getSouth(), x], `${Math.abs(turned).toFixed(digits)}° ${turned < 0 ? 'W' : 'E'}`, [-4, 16]);
    }
    for (let n = Math.ceil(south / step); n * step <= north; n += 1) {
      const y = n * step;
      this.line([[y, west], [y, east]]);
      this.label([y, west], `${Math.abs(y).toFixed(digits)}° ${y < 0 ? 'S' : 'N'}`, [-4, 14]);
    }
  }

  line(points) {
    this.degrees.addLayer(L.polyline(points, { color: colour('--grid'), weight: 1, opacity: 1, interactive: false, smoothFactor: 0 }));
  }

  label(place, text, iconAnchor) {
    const html = document.createElement('span');
    html.textContent = text;
    const icon = L.divIcon({ className: 'graticule', html, iconAnchor, iconSize: null });
    this.degrees.addLayer(L.marker(place, { icon, interactive: false, keyboard: false }));
  }
}
