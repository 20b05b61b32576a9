# What differs between aws, aws-us-gov and aws-cn is asked for, never written down.
data "aws_partition" "here" {}

data "aws_caller_identity" "here" {}

data "aws_service_principal" "of" {
  for_each     = toset(["ec2", "eks", "events", "s3", "sns"])
  service_name = each.key
}

locals {
  partition = data.aws_partition.here.partition
  account   = data.aws_caller_identity.here.account_id
  services  = { for name, principal in data.aws_service_principal.of : name => principal.name }

  # CloudWatch Logs is the one that has a principal in each region.
  logs_service = "logs.${var.region}.${data.aws_partition.here.dns_suffix}"

  # IAM's names are one set for all regions.
  global_name = "${var.name}-${var.region}"
}
