"""Who may read as a person: a user pool that only administrators add people to.

Machines read by IAM. People sign in with their e-mail address, a password and a code of their authenticator app, and
send the token that they get; they read what machines read, and can erase nobody.
"""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.lifetimes import removal_policy
from infra.stages import Stage


class People(Construct):
    """The pool, and the one client by which pages and tools sign people in."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self.pool = cognito.UserPool(
            self,
            "Pool",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            password_policy=cognito.PasswordPolicy(
                min_length=12,
                require_digits=True,
                require_lowercase=True,
                require_uppercase=True,
                require_symbols=True,
                temp_password_validity=Duration.days(3),
            ),
            deletion_protection=stage.keeps_state,
            removal_policy=removal_policy(stage),
        )
        acknowledge(
            self.pool,
            "COG8",
            "Threat protection is priced by person and month, in a plan of its own; nobody can sign up, and a "
            "password alone lets nobody in.",
        )
        self.client = self.pool.add_client(
            "Client",
            # What runs in a page or on a laptop keeps no secret.
            generate_secret=False,
            auth_flows=cognito.AuthFlow(user_srp=True),
            disable_o_auth=True,
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
            id_token_validity=Duration.hours(1),
            access_token_validity=Duration.hours(1),
            refresh_token_validity=Duration.days(7),
        )
