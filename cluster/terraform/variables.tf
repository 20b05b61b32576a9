variable "region" {
  description = "The region of the data, such as us-west-2: everything is made beside it."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region: an AWS region such as us-west-2, us-gov-west-1 or cn-north-1."
  }
}

variable "name" {
  description = "Names everything that is made; the region is added where names are global."
  type        = string
  default     = "groundswell"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name: 3 to 32 lower-case letters, digits and single hyphens, beginning with a letter."
  }
}

variable "tags" {
  description = "Further tags of everything, such as a cost centre."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags: keys that begin with aws: are reserved."
  }
}

# Data: who may read and write what.

variable "inputs" {
  description = "Where workers read: s3://bucket/prefix/, or s3://bucket/ for all of a bucket, such as a public archive."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for uri in var.inputs : can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([^*?$]*/)?$", uri))])
    error_message = "inputs: each is s3://bucket/ or s3://bucket/prefix/, ends in a slash and has no wildcard."
  }
}

variable "outputs" {
  description = "Where workers write: s3://bucket/prefix/. All of a bucket is refused."
  type        = list(string)

  validation {
    condition     = length(var.outputs) > 0 && alltrue([for uri in var.outputs : can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?$]+/$", uri))])
    error_message = "outputs: at least one, each s3://bucket/prefix/, ending in a slash and without wildcard."
  }
}

variable "bucket_keys" {
  description = "ARNs of the KMS keys that those buckets are encrypted with, if any."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.bucket_keys : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-)?[0-9a-f-]+$", arn))])
    error_message = "bucket_keys: each is the ARN of a key, not of an alias."
  }
}

variable "service_accounts" {
  description = "Service accounts of Kubernetes, as namespace:name, that may take each role; the scheduler has none."
  type = object({
    worker     = optional(list(string), ["groundswell:groundswell-worker"])
    runner     = optional(list(string), ["groundswell:groundswell-runner"])
    listener   = optional(list(string), ["groundswell:groundswell-listener"])
    consumer   = optional(list(string), ["groundswell:groundswell-consumer"])
    autoscaler = optional(list(string), ["kube-system:cluster-autoscaler"])
  })
  default = {}

  validation {
    condition = alltrue([
      for each in flatten(values(var.service_accounts)) : can(regex("^[a-z0-9-]{1,63}:[a-z0-9.-]{1,253}$", each))
    ])
    error_message = "service_accounts: each is namespace:name, without wildcard."
  }

  validation {
    condition     = alltrue([for each in values(var.service_accounts) : length(each) > 0])
    error_message = "service_accounts: at least one for each role."
  }
}

# Network.

variable "vpc_id" {
  description = "A network that is there; nothing: one of its own."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null || can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id: such as vpc-0123456789abcdef0."
  }

  validation {
    condition     = var.vpc_id == null || var.existing_cluster == null
    error_message = "vpc_id: not beside existing_cluster, which has its network."
  }
}

variable "subnet_ids" {
  description = "Private subnets of that network; nothing: those tagged kubernetes.io/role/internal-elb."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.subnet_ids) == 0 || (var.vpc_id != null && length(var.subnet_ids) > 1)
    error_message = "subnet_ids: at least two, in two zones, and only together with vpc_id."
  }
}

variable "cidr" {
  description = "Addresses of a network of its own: every pod takes one."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.cidr)[1]), 99) <= 20
    error_message = "cidr: between /16 and /20, such as 10.42.0.0/16."
  }
}

variable "zones" {
  description = "Availability zones of a network of its own, at most: more of them, more spot machines to choose from."
  type        = number
  default     = 3

  validation {
    condition     = contains([2, 3, 4], var.zones)
    error_message = "zones: 2, 3 or 4."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone, instead of one: survives the loss of a zone, and costs as many times more."
  type        = bool
  default     = false
}

# Cluster.

variable "existing_cluster" {
  description = "An EKS cluster that is there; nothing: one of its own, with its nodes."
  type        = string
  default     = null

  validation {
    condition     = var.existing_cluster == null || can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", var.existing_cluster))
    error_message = "existing_cluster: the name of an EKS cluster."
  }
}

variable "existing_oidc_provider" {
  description = "Whether IAM knows the identity provider of that cluster already: it takes each only once."
  type        = bool
  default     = false

  validation {
    condition     = !var.existing_oidc_provider || var.existing_cluster != null
    error_message = "existing_oidc_provider: only of an existing_cluster; a new cluster's provider is made with it."
  }
}

variable "kubernetes_version" {
  description = "Such as 1.34; nothing: what EKS gives."
  type        = string
  default     = null

  validation {
    condition     = var.kubernetes_version == null || can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "kubernetes_version: such as 1.34."
  }
}

variable "api_cidrs" {
  description = "Addresses from which the cluster's API answers, such as your office's 203.0.113.7/32; none: only from its network."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.api_cidrs : can(cidrnetmask(cidr)) && try(tonumber(split("/", cidr)[1]), 0) >= 16])
    error_message = "api_cidrs: each a range of IPv4, /16 or smaller; never the whole internet."
  }
}

variable "admins" {
  description = "ARNs of IAM roles or users that may administer the cluster, beside whoever makes it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.admins : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/.+$", arn))])
    error_message = "admins: each is the ARN of a role or a user."
  }
}

variable "system_instance_types" {
  description = "Machines on demand: schedulers, the operator and what the cluster itself needs."
  type        = list(string)
  default     = ["m6i.large", "m5.large"]

  validation {
    condition     = length(var.system_instance_types) > 0
    error_message = "system_instance_types: at least one."
  }
}

variable "system_nodes" {
  description = "How many of them, at least and at most."
  type        = object({ minimum = number, maximum = number })
  default     = { minimum = 1, maximum = 4 }

  validation {
    condition     = var.system_nodes.minimum >= 1 && var.system_nodes.maximum >= var.system_nodes.minimum
    error_message = "system_nodes: minimum is at least 1, maximum at least minimum."
  }
}

variable "worker_instance_types" {
  description = "Spot machines of workers, all of the same cores and memory; the more kinds, the fewer are taken away."
  type        = list(string)
  default     = ["m6i.2xlarge", "m6a.2xlarge", "m6in.2xlarge", "m5.2xlarge", "m5a.2xlarge", "m5n.2xlarge"]

  validation {
    condition     = length(distinct([for each in var.worker_instance_types : try(split(".", each)[1], "")])) == 1 && alltrue([for each in var.worker_instance_types : can(regex("[.].", each))])
    error_message = "worker_instance_types: at least one, all of one size such as 2xlarge, so that what fits on one fits on all."
  }
}

variable "worker_nodes" {
  description = "Spot machines of workers, at most: also a bound of what an hour can cost. There are none while nothing runs."
  type        = number
  default     = 20

  validation {
    condition     = var.worker_nodes >= 1 && var.worker_nodes <= 450
    error_message = "worker_nodes: between 1 and 450, what EKS lets a node group have."
  }
}

variable "worker_disk_gb" {
  description = "Disk of a worker's machine: images, and what its workers spill."
  type        = number
  default     = 100

  validation {
    condition     = var.worker_disk_gb >= 30
    error_message = "worker_disk_gb: at least 30."
  }
}

variable "arm" {
  description = "Graviton machines; the image must be built for them (`make image CPU=neoverse-n1`)."
  type        = bool
  default     = false

  validation {
    condition = alltrue([
      for each in concat(var.system_instance_types, var.worker_instance_types) : can(regex("^[a-z]+[0-9]g[a-z]*[.]", each)) == var.arm
    ])
    error_message = "arm: true where all of system_instance_types and worker_instance_types are Graviton machines, such as m7g.large, and false where none is."
  }
}

# Image.

variable "image_digest" {
  description = "Digest of the image that runs, sha256:…; written by `make tf-image`; nothing: no image yet."
  type        = string
  default     = null

  validation {
    condition     = var.image_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "image_digest: sha256: and 64 hexadecimal digits; tags move, digests do not."
  }
}

# Events.

variable "event_sources" {
  description = <<-TEXT
    Buckets of this account whose new objects are announced, by a name of your choice.
    merged: an entry of the bucket's notifications beside those of others, which stay as they are;
    eventbridge: through EventBridge, for buckets whose notifications another tool writes whole.
  TEXT
  type = map(object({
    bucket = string
    prefix = optional(string, "")
    suffix = optional(string, "")
    mode   = optional(string, "merged")
  }))
  default = {}

  validation {
    condition     = alltrue([for key in keys(var.event_sources) : can(regex("^[a-z0-9-]{1,31}$", key))])
    error_message = "event_sources: names of at most 31 lower-case letters, digits and hyphens."
  }

  validation {
    condition     = alltrue([for each in values(var.event_sources) : contains(["merged", "eventbridge"], each.mode)])
    error_message = "event_sources: mode is merged or eventbridge."
  }

  validation {
    condition     = alltrue([for each in values(var.event_sources) : can(regex("^[^*?\\\\]*$", "${each.prefix}${each.suffix}"))])
    error_message = "event_sources: prefix and suffix are beginnings and ends of keys, without wildcards."
  }
}

variable "source_topics" {
  description = "ARNs of SNS topics of others, in this region, that announce new scenes, such as an open archive's."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.source_topics : can(regex("^arn:[a-z-]+:sns:${var.region}:[0-9]{12}:[A-Za-z0-9_-]+$", arn))])
    error_message = "source_topics: each is the ARN of a topic in the variable region."
  }
}

variable "listener_url" {
  description = "Where SNS posts the same events to as well, such as https://events.example.org/sns; null: the queue alone."
  type        = string
  default     = null

  validation {
    condition     = var.listener_url == null || can(regex("^https://[^/@]+/sns$", var.listener_url))
    error_message = "listener_url: https://, the host of the chart's listener.ingress, and /sns."
  }
}

variable "visibility_timeout_s" {
  description = "How long a message is one consumer's before it says that it still works on it."
  type        = number
  default     = 900

  validation {
    condition     = var.visibility_timeout_s >= 30 && var.visibility_timeout_s <= 43200
    error_message = "visibility_timeout_s: between 30 and 43200 seconds."
  }
}

variable "receive_attempts" {
  description = "How often a message is tried before it goes to the dead letters."
  type        = number
  default     = 5

  validation {
    condition     = var.receive_attempts >= 2 && var.receive_attempts <= 100
    error_message = "receive_attempts: between 2 and 100: a spot machine that goes away is one attempt."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic that hears of dead letters; nothing: the alarm is only seen in CloudWatch."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:[a-z-]+:sns:", var.alarm_topic_arn))
    error_message = "alarm_topic_arn: the ARN of an SNS topic."
  }
}
