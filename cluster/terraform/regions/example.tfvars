# Copy to REGION.tfvars (such as us-west-2.tfvars) and change; `make tf-plan REGION=us-west-2` takes it from there.
region  = "us-west-2"
inputs  = ["s3://e84-earth-search-sentinel-data/", "s3://my-archive/scenes/"]
outputs = ["s3://my-bucket/kenya-2024/"]

# From where `kubectl` and `groundswell` may reach the cluster's API: your own address, not the internet.
api_cidrs    = ["203.0.113.7/32"]
worker_nodes = 20

# New files of a bucket of yours start work; other notifications of that bucket stay as they are.
event_sources = {
  scenes = { bucket = "my-archive", prefix = "scenes/", suffix = ".tif" }
}
