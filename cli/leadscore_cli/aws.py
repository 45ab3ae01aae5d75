"""boto3 sessions: one that can reach nothing but the emulator, and the caller's ordinary one."""

from __future__ import annotations

import os

import boto3
import botocore.session

LOCAL_REGION = "us-east-1"
LOCAL_ACCOUNT = "000000000000"
LOCAL_KEY = "test"


def local_session() -> boto3.Session:
    """Return a session with the emulator's root keys; the caller's profiles and configuration play no part in it."""
    nothing = (None, None, os.devnull, None)
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nothing,
            "credentials_file": nothing,
        }
    )
    return boto3.Session(
        aws_access_key_id=LOCAL_KEY,
        aws_secret_access_key=LOCAL_KEY,
        region_name=LOCAL_REGION,
        botocore_session=core,
    )


def local_environment() -> dict[str, str]:
    """Return the variables with which AWS tools reach an emulator and no account; the endpoint is to be added."""
    return {
        "AWS_ACCESS_KEY_ID": LOCAL_KEY,
        "AWS_SECRET_ACCESS_KEY": LOCAL_KEY,
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
