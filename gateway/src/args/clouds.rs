//! Who the gateway is in clouds.

use std::path::PathBuf;

use turnpike_bundle::Confidential;

/// The gateway's own identity in clouds, under the names that the clouds' SDKs and webhooks use.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Identity in clouds")]
pub struct Clouds {
    /// Region whose STS is asked [default: that of the model]
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub aws_region: Option<String>,

    /// Id of the gateway's own AWS access key
    #[arg(long, value_name = "ID", env = "AWS_ACCESS_KEY_ID", requires = "aws_secret_access_key")]
    pub aws_access_key_id: Option<String>,

    /// The gateway's own AWS access key
    #[arg(long, value_name = "KEY", env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub aws_secret_access_key: Option<Confidential>,

    /// Session token of that key, where it is a temporary one
    #[arg(long, value_name = "TOKEN", env = "AWS_SESSION_TOKEN", hide_env_values = true)]
    pub aws_session_token: Option<Confidential>,

    /// Role that the web identity token stands for (IRSA)
    #[arg(long, value_name = "ARN", env = "AWS_ROLE_ARN")]
    pub aws_role_arn: Option<String>,

    /// Name of that role's sessions
    #[arg(long, value_name = "NAME", default_value = "turnpike", env = "AWS_ROLE_SESSION_NAME")]
    pub aws_role_session_name: String,

    /// File with the web identity token (IRSA)
    #[arg(long, value_name = "FILE", env = "AWS_WEB_IDENTITY_TOKEN_FILE")]
    pub aws_web_identity_token_file: Option<PathBuf>,

    /// Agent that issues the pod's keys (EKS Pod Identity)
    #[arg(long, value_name = "URL", env = "AWS_CONTAINER_CREDENTIALS_FULL_URI")]
    pub aws_container_credentials_url: Option<String>,

    /// File with the token for that agent
    #[arg(long, value_name = "FILE", env = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")]
    pub aws_container_token_file: Option<PathBuf>,

    /// Metadata service that issues the machine's own keys, such as `http://169.254.169.254` [default: none]
    #[arg(long, value_name = "URL", env = "TURNPIKE_AWS_INSTANCE_METADATA")]
    pub aws_instance_metadata: Option<String>,

    /// Address of AWS STS [default: that of the region]
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_STS")]
    pub aws_sts_url: Option<String>,

    /// Key file of the gateway's own Google service account [default: the metadata server's identity]
    #[arg(long, value_name = "FILE", env = "GOOGLE_APPLICATION_CREDENTIALS")]
    pub google_key_file: Option<PathBuf>,

    /// Google's metadata server
    #[arg(long, value_name = "HOST", default_value = "metadata.google.internal", env = "GCE_METADATA_HOST")]
    pub google_metadata_host: String,

    /// Where service accounts' keys are exchanged for tokens [default: as their key files say]
    #[arg(long, value_name = "URL", env = "TURNPIKE_GOOGLE_TOKEN_URL")]
    pub google_token_url: Option<String>,

    /// Tenant of the gateway's own Entra application
    #[arg(long, value_name = "ID", env = "AZURE_TENANT_ID")]
    pub azure_tenant_id: Option<String>,

    /// Id of that application
    #[arg(long, value_name = "ID", env = "AZURE_CLIENT_ID")]
    pub azure_client_id: Option<String>,

    /// File with the pod's token for Entra (workload identity)
    #[arg(long, value_name = "FILE", env = "AZURE_FEDERATED_TOKEN_FILE")]
    pub azure_federated_token_file: Option<PathBuf>,

    /// Address of Entra
    #[arg(long, value_name = "URL", default_value = "https://login.microsoftonline.com", env = "AZURE_AUTHORITY_HOST")]
    pub azure_authority_host: String,
}
