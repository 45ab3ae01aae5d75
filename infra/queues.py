"""A queue of work with the place where what cannot be done ends up, and the alarm that tells.

Invariant: no message is dropped. What fails `max_receive_count` times moves to the dead-letter queue, is kept there
for 14 days, and rings the alarm from the first one on.
"""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.alarms import alarm_above
from infra.lifetimes import removal_policy
from infra.stages import Stage

_LONGEST_RETENTION = Duration.days(14)


class WorkQueue(Construct):
    """A queue, its dead-letter queue and their alarms; encrypted by SQS, TLS only."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        consumer_timeout: int,
        holds: str,
        alarm_action: cloudwatch.IAlarmAction,
        fifo: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        # CloudFormation wants to be told of what is true alone: `fifo=False` is refused.
        is_fifo = True if fifo else None
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=_LONGEST_RETENTION,
            fifo=is_fifo,
            removal_policy=removal_policy(stage),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            # Shorter than the dead-letter queue's: a message keeps its age when it moves there.
            retention_period=Duration.days(7),
            visibility_timeout=Duration.seconds(consumer_timeout * stage.visibility_factor),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=stage.max_receive_count),
            removal_policy=removal_policy(stage),
            fifo=is_fifo,
        )
        alarm_above(
            self,
            "DeadLettersPresent",
            metric=self.dead_letters.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            threshold=0,
            meaning=f"{holds} that could not be processed wait in the dead-letter queue",
            action=alarm_action,
        )
        alarm_above(
            self,
            "Late",
            metric=self.queue.metric_approximate_age_of_oldest_message(period=Duration.minutes(5), statistic="Maximum"),
            threshold=Duration.minutes(15).to_seconds(),
            meaning=f"{holds} have waited for more than 15 minutes",
            action=alarm_action,
        )
