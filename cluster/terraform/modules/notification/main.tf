# One entry among a bucket's notifications. Everything else of the document stays as it was found, also at the end.
terraform {
  required_version = ">= 1.11"
}

variable "bucket" {
  description = "Of this account."
  type        = string
}

variable "region" {
  description = "Of the bucket."
  type        = string
}

variable "owner" {
  description = "Account that must own the bucket."
  type        = string
}

variable "entry" {
  description = "Id of our entry: what is changed and taken away is this one only."
  type        = string
}

variable "topic" {
  description = "Topic that hears of new objects; nothing: EventBridge does, and its switch is turned on."
  type        = string
}

variable "prefix" {
  description = "Beginning of the keys that matter."
  type        = string
}

variable "suffix" {
  description = "End of the keys that matter."
  type        = string
}

resource "terraform_data" "entry" {
  input            = local.wanted
  triggers_replace = local.wanted

  provisioner "local-exec" {
    command     = "\"$${GROUNDSWELL_PYTHON:-python3}\" -m cluster.notifications add"
    environment = { GROUNDSWELL_NOTIFICATION = jsonencode(self.input), PYTHONPATH = "${path.module}/../../../.." }
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "\"$${GROUNDSWELL_PYTHON:-python3}\" -m cluster.notifications remove"
    environment = { GROUNDSWELL_NOTIFICATION = jsonencode(self.input), PYTHONPATH = "${path.module}/../../../.." }
  }
}

locals {
  wanted = {
    bucket = var.bucket
    region = var.region
    owner  = var.owner
    entry  = var.entry
    topic  = var.topic
    prefix = var.prefix
    suffix = var.suffix
  }
}
