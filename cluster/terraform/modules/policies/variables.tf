# Checked where a person gives them; here only what has to hold for the documents to be right.
variable "partition" {
  description = "aws, aws-us-gov or aws-cn."
  type        = string
}

variable "account" {
  description = "Number of the account."
  type        = string
}

variable "region" {
  description = "The region of everything but IAM."
  type        = string
}

variable "name" {
  description = "Names everything."
  type        = string
}

variable "cluster" {
  description = "The cluster's own name."
  type        = string
}

variable "services" {
  description = "Principals of ec2, eks, events, s3 and sns in this partition."
  type        = map(string)
}

variable "logs_service" {
  description = "Principal of CloudWatch Logs in this region."
  type        = string
}

variable "inputs" {
  description = "Where workers read: s3://bucket/ or s3://bucket/prefix/."
  type        = list(string)
}

variable "outputs" {
  description = "Where workers write: s3://bucket/prefix/."
  type        = list(string)
}

variable "bucket_keys" {
  description = "ARNs of the KMS keys of those buckets."
  type        = list(string)
}

variable "event_buckets" {
  description = "Buckets that announce new objects themselves."
  type        = list(string)
}

variable "source_topics" {
  description = "ARNs of others' topics that the queue listens to."
  type        = list(string)
}

variable "service_accounts" {
  description = "Service accounts, as namespace:name, that may take each role."
  type        = map(list(string))
}

variable "provider_url" {
  description = "Issuer of the cluster's identities, https://…"
  type        = string
}

variable "provider_arn" {
  description = "What IAM calls that issuer."
  type        = string
}
