# New objects → topic → queue → consumer; what fails too often waits among the dead letters for somebody to look.
resource "aws_sns_topic" "objects" {
  name              = "${var.name}-objects"
  kms_master_key_id = aws_kms_key.own.arn
  signature_version = 2 # SHA-256; by default a topic signs with SHA-1
}

resource "aws_sns_topic_policy" "objects" {
  arn    = aws_sns_topic.objects.arn
  policy = module.policies.topic
}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-objects-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
}

resource "aws_sqs_queue" "objects" {
  name                       = "${var.name}-objects"
  sqs_managed_sse_enabled    = true
  message_retention_seconds  = 604800 # a dead letter is as old as it was here: it keeps a week at least to be looked at
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = var.visibility_timeout_s

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = var.receive_attempts
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.objects.arn]
  })
}

resource "aws_sqs_queue_policy" "objects" {
  queue_url = aws_sqs_queue.objects.id
  policy    = module.policies.queue
}

resource "aws_sqs_queue_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  policy    = module.policies.dead
}

# In SNS's envelope: it names the topic and the message, by which a consumer knows a stranger and a duplicate.
resource "aws_sns_topic_subscription" "objects" {
  for_each       = merge({ own = aws_sns_topic.objects.arn }, { for arn in var.source_topics : arn => arn })
  topic_arn      = each.value
  protocol       = "sqs"
  endpoint       = aws_sqs_queue.objects.arn
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn })
  depends_on     = [aws_sqs_queue_policy.objects, aws_sqs_queue_policy.dead]
}

# The same over HTTPS, to the listener, which confirms it by itself; what it does not take within an hour is a dead letter.
resource "aws_sns_topic_subscription" "listener" {
  for_each               = var.listener_url == null ? {} : merge({ own = aws_sns_topic.objects.arn }, { for arn in var.source_topics : arn => arn })
  topic_arn              = each.value
  protocol               = "https"
  endpoint               = var.listener_url
  endpoint_auto_confirms = true
  redrive_policy         = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn })
  depends_on             = [aws_sqs_queue_policy.dead]
}

resource "aws_cloudwatch_metric_alarm" "dead" {
  alarm_name          = "${var.name}-objects-dead"
  alarm_description   = "Messages that failed ${var.receive_attempts} times wait in ${var.name}-objects-dead."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = compact([var.alarm_topic_arn])
}

# S3 keeps one document of notifications a bucket, and `aws_s3_bucket_notification` writes it whole: what others have
# put there would be gone. Ours adds its entry and takes only that away.
module "notification" {
  for_each = var.event_sources
  source   = "./modules/notification"

  bucket = each.value.bucket
  region = var.region
  owner  = local.account
  entry  = "${var.name}-${each.key}"
  topic  = each.value.mode == "merged" ? aws_sns_topic.objects.arn : null
  prefix = each.value.prefix
  suffix = each.value.suffix

  depends_on = [aws_sns_topic_policy.objects]
}

resource "aws_cloudwatch_event_rule" "objects" {
  for_each    = { for name, each in var.event_sources : name => each if each.mode == "eventbridge" }
  name        = "${var.name}-${each.key}"
  description = "New objects of s3://${each.value.bucket}/${each.value.prefix}"

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [each.value.bucket] }
      object = { key = [{ wildcard = "${each.value.prefix}*${each.value.suffix}" }] }
    }
  })
}

# Past the topic: an encrypted one takes nothing from EventBridge unless its key is open to every account's rules.
resource "aws_cloudwatch_event_target" "objects" {
  for_each = aws_cloudwatch_event_rule.objects
  rule     = each.value.name
  arn      = aws_sqs_queue.objects.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }
}
