# One region, one state: what fails or is taken down in one region touches no other. `make tf-init REGION=us-west-2`.
terraform {
  required_version = ">= 1.11" # a state in S3 that locks itself

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }

  # Bucket, key and region are named by `make tf-init`.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

# Credentials come from where the AWS command line has them: never from here.
provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, {
      "app.kubernetes.io/part-of" = "groundswell"
      "groundswell.io/region"     = var.region
    })
  }
}
