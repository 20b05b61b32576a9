"""Two configs for people: the smallest useful one, and a large one that shows most sections at work."""

SMALLEST = """\
area: {bbox: [10.9, 44.6, 11.2, 44.8]}          # west, south, east, north
period: {start: 2024-06-01, end: 2024-09-01}    # the end is excluded; one output a month
sources:
  s2: {stac: "https://earth-search.aws.element84.com/v1", collection: sentinel-2-c1-l2a}
products:
  - {product: sentinel2, bands: [red, nir], indices: [ndvi]}
"""

LARGE = """\
name: kenya-2024
output: s3://my-bucket/kenya-2024               # a folder, or s3:// (endpoint and profile under storage:)
area: {vector: kenya.gpkg, select: {name: [Nakuru, Kisumu]}}   # or bbox, tiles: tiles.csv, mgrs: [37MBU]
grid: {kind: utm, tile_px: 2048, resolution_m: 10}             # or mgrs, region (one tile a polygon), geobox, ttc
period: {start: 2024-01-01, end: 2025-01-01, every: month}

sources:                                        # where data lies: the region belongs to the source
  s2:
    stac: "https://earth-search.aws.element84.com/v1"
    collection: sentinel-2-c1-l2a
    region: us-west-2
    query: {"eo:cloud_cover": {lt: 80}}
  s1: {items: s1-items.parquet, region: eu-central-1}          # a static catalogue, collection, item list or geoparquet
  dem:
    stac: "https://earth-search.aws.element84.com/v1"
    collection: cop-dem-glo-30
    region: eu-central-1
    storage: {anonymous: true}
  argo: {gdac: "https://data-argo.ifremer.fr", region: eu-west-1, dac: [incois]}

products:
  - product: sentinel2
    source: s2
    bands: [blue, green, red, nir, swir16]
    mask: {classes: [0, 1, 3, 8, 9, 10], open_px: 1, dilate_px: 3}
    composite: median
    indices: [ndvi]
  - {product: sentinel1, source: s1, polarisations: [vv, vh], orbits: together, composite: mean, scale: power}
  - {product: dem, source: dem, layers: [elevation, slope]}
  - product: predict                            # made from other products of the run
    inputs: [sentinel2, sentinel1, dem]
    model: s3://my-bucket/trees.onnx
    digest: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    channels:
      - {layer: sentinel2_nir, clip: [0, 1]}
      - {layer: sentinel1_vv, clip: [0, 1]}
      - {layer: dem_slope}
    classes: [other, trees]
  - {product: argo, source: argo, qc_level: standard}

write: {cog: {compress: zstd}, zarr: {}}
clusters:                                       # by region; regions without an entry use default
  us-west-2: {backend: coiled, workers: [2, 100], worker_memory: 16GiB, spot: true}
  eu-central-1: {backend: kubernetes, context: eks-euc1, image: "registry.example.org/groundswell:1", workers: [1, 40]}
  default: {backend: local}
run:
  retries: 3
  budget_usd: 40
  missing_assets: {policy: skip, max_fraction: 0.2}
  quality: {min_valid_fraction: {warn: 0.5, fail: 0.05}}
  notify:
    - {webhook: "https://example.org/hook"}     # told of the run's begin and end
stores:
  postgres: {dsn: "${DATABASE_URL}"}
"""

EVENTS = """\
name: arrivals
inbox: arrivals.sqlite                          # or PostgreSQL, which several machines share: ${DATABASE_URL}
topics: ["arn:aws:sns:eu-central-1:123456789012:arrivals"]
buckets:
  arrivals: {region: eu-central-1}
rules:
  scenes:                                       # a new scene: the tiles and periods of a run that it touches
    match: {collection: sentinel-2-l2a}
    run: kenya.yaml
    source: s2
    settle: period_end+5d
  stations:                                     # a new file: what its data must be like
    match: {bucket: arrivals, prefix: stations/, suffix: [.csv, .parquet]}
    check:
      table:
        key: [station, time]
        columns:
          station: {type: text, pattern: "[A-Z]{3}[0-9]{2}"}
          temp: {type: number, nulls: {warn: 0.05, fail: 0.5}, range: [-5, 45]}
output: ./checks
"""
