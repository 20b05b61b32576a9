# Every policy document, from values alone: no provider, so a test evaluates it for each partition without an account.
terraform {
  required_version = ">= 1.11"
}

locals {
  arn   = "arn:${var.partition}"
  own   = "${var.region}:${var.account}"
  queue = "${local.arn}:sqs:${local.own}:${var.name}-objects"
  dead  = "${local.queue}-dead"
  topic = "${local.arn}:sns:${local.own}:${var.name}-objects"

  # What EKS puts into every token: not an address, so the same in every partition (eksctl-io/eksctl#1910).
  audience = "sts.amazonaws.com"

  uri     = "^s3://(?P<bucket>[^/]+)/(?P<prefix>.*)$"
  reads   = [for each in distinct(concat(var.inputs, var.outputs)) : regex(local.uri, each)]
  writes  = [for each in var.outputs : regex(local.uri, each)]
  listed  = { for each in local.reads : each.bucket => each.prefix... }
  written = distinct([for each in local.writes : each.bucket])

  read_objects = {
    Sid      = "ReadObjects"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = [for each in local.reads : "${local.arn}:s3:::${each.bucket}/${each.prefix}*"]
  }
  # S3 asks this one also before it says of an object that it is not there (404) and not that nobody may know (403).
  list_prefixes = [for bucket, prefixes in local.listed : {
    Effect    = "Allow"
    Action    = ["s3:ListBucket"]
    Resource  = ["${local.arn}:s3:::${bucket}"]
    Condition = { StringLike = { "s3:prefix" = [for each in prefixes : "${each}*"] } }
  }]
  write_objects = {
    Sid      = "WriteObjects"
    Effect   = "Allow"
    Action   = ["s3:AbortMultipartUpload", "s3:PutObject"]
    Resource = [for each in local.writes : "${local.arn}:s3:::${each.bucket}/${each.prefix}*"]
  }
  # Leases, catalogue pages and `groundswell vacuum`: the driver's, never a worker's.
  tidy_up = [
    {
      Sid      = "RemoveObjects"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject"]
      Resource = local.write_objects.Resource
    },
    {
      Sid      = "FindUnfinishedUploads" # S3 knows no prefix here; the names are all that is seen
      Effect   = "Allow"
      Action   = ["s3:ListBucketMultipartUploads"]
      Resource = [for bucket in local.written : "${local.arn}:s3:::${bucket}"]
    },
  ]
  bucket_keys = length(var.bucket_keys) == 0 ? [] : [{
    Sid      = "BucketKeys"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = var.bucket_keys
  }]

  # What SNS posts may go straight on to the queue.
  listener = [
    {
      Sid      = "SendMessages"
      Effect   = "Allow"
      Action   = ["sqs:GetQueueAttributes", "sqs:SendMessage"]
      Resource = [local.queue]
    },
    {
      Sid      = "ConfirmSubscriptions"
      Effect   = "Allow"
      Action   = ["sns:ConfirmSubscription"]
      Resource = local.topics
    },
  ]
  # And `groundswell redrive`: from the dead letters back into the queue.
  take = [
    {
      Sid      = "TakeMessages"
      Effect   = "Allow"
      Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
      Resource = [local.queue]
    },
    {
      Sid    = "Redrive"
      Effect = "Allow"
      Action = [
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ListMessageMoveTasks",
        "sqs:ReceiveMessage",
        "sqs:StartMessageMoveTask",
      ]
      Resource = [local.dead]
    },
  ]

  worker = concat([local.read_objects, local.write_objects], local.list_prefixes, local.bucket_keys)

  roles = {
    worker = local.worker
    runner = concat(local.worker, local.tidy_up)

    listener = local.listener
    # It makes what events start, and may be the listener too.
    consumer = concat(local.worker, local.tidy_up, local.listener, local.take)

    autoscaler = [
      {
        Sid    = "See" # none of these takes a resource
        Effect = "Allow"
        Action = [
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:DescribeAutoScalingInstances",
          "autoscaling:DescribeLaunchConfigurations",
          "autoscaling:DescribeScalingActivities",
          "autoscaling:DescribeTags",
          "ec2:DescribeImages",
          "ec2:DescribeInstanceTypes",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:GetInstanceTypesFromInstanceRequirements",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "SeeNodeGroups"
        Effect   = "Allow"
        Action   = ["eks:DescribeNodegroup"]
        Resource = ["${local.arn}:eks:${local.own}:nodegroup/${var.cluster}/*"]
      },
      {
        Sid       = "Scale"
        Effect    = "Allow"
        Action    = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
        Resource  = ["${local.arn}:autoscaling:${local.own}:autoScalingGroup:*"]
        Condition = { StringEquals = { "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.cluster}" = "owned" } }
      },
    ]
  }

  issuer = trimprefix(var.provider_url, "https://")
  trust = { for role, accounts in var.service_accounts : role => [{
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = var.provider_arn }
    Condition = { StringEquals = {
      "${local.issuer}:aud" = local.audience
      "${local.issuer}:sub" = [for each in accounts : "system:serviceaccount:${each}"]
    } }
  }] }

  key = [
    {
      Sid       = "Account" # in a key's policy * is this key; who else may use it is settled by IAM
      Effect    = "Allow"
      Action    = "kms:*"
      Principal = { AWS = "${local.arn}:iam::${var.account}:root" }
      Resource  = "*"
    },
    {
      Sid       = "Messages"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
      Principal = { Service = var.services["s3"] }
      Resource  = "*"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
    },
    {
      Sid       = "Logs"
      Effect    = "Allow"
      Action    = ["kms:Decrypt*", "kms:DescribeKey", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      Principal = { Service = var.logs_service }
      Resource  = "*"
      Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "${local.arn}:logs:${local.own}:log-group:/aws/eks/${var.cluster}/*" } }
    },
  ]

  topics = concat([local.topic], var.source_topics)
  heard = { for name, queue in { queue = local.queue, dead = local.dead } : name => [
    {
      Sid       = "Topics"
      Effect    = "Allow"
      Action    = "sqs:SendMessage"
      Principal = { Service = var.services["sns"] }
      Resource  = queue
      Condition = { ArnEquals = { "aws:SourceArn" = local.topics } }
    },
    {
      Sid       = "Rules"
      Effect    = "Allow"
      Action    = "sqs:SendMessage"
      Principal = { Service = var.services["events"] }
      Resource  = queue
      Condition = { ArnLike = { "aws:SourceArn" = "${local.arn}:events:${local.own}:rule/${var.name}-*" } }
    },
    merge(local.plaintext, { Action = "sqs:*", Resource = queue }),
  ] }

  announced = concat(
    length(var.event_buckets) == 0 ? [] : [{
      Sid       = "Buckets"
      Effect    = "Allow"
      Action    = "sns:Publish"
      Principal = { Service = var.services["s3"] }
      Resource  = local.topic
      Condition = {
        ArnEquals    = { "aws:SourceArn" = [for bucket in var.event_buckets : "${local.arn}:s3:::${bucket}"] }
        StringEquals = { "aws:SourceAccount" = var.account }
      }
    }],
    [merge(local.plaintext, { Action = "sns:Publish", Resource = local.topic })],
  )

  plaintext = {
    Sid       = "NoPlaintext"
    Effect    = "Deny"
    Principal = "*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  service_trust = { for name in ["ec2", "eks"] : name => [{
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { Service = var.services[name] }
  }] }
}
