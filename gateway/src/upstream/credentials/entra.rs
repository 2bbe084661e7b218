//! Tokens of Microsoft Entra for Azure's models: an application proves itself by its secret, or by the token of the
//! gateway's pod (workload identity federation).

use std::sync::Arc;

use http::HeaderValue;
use turnpike_bundle::entry::EntraApplication;

use super::{
    Fresh,
    exchange::{Ask, Exchange, ExchangeError, bearer, read},
};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token for this application, or for the gateway's own.
pub(super) async fn token(
    exchange: Arc<Exchange>,
    application: EntraApplication,
) -> Result<Fresh<HeaderValue>, ExchangeError> {
    const NO_TENANT: &str = "no tenant is known; set azure.tenantId, or AZURE_TENANT_ID of the gateway";
    const NO_CLIENT: &str = "no application is known; set azure.clientId, or AZURE_CLIENT_ID of the gateway";
    const NO_FILE: &str = "the gateway has no workload identity (AZURE_FEDERATED_TOKEN_FILE); label its pods and \
                           annotate its ServiceAccount, or set azure.clientSecret";
    let clouds = &exchange.clouds;
    let tenant = application.tenant_id.as_ref().or(clouds.azure_tenant_id.as_ref());
    let tenant = tenant.ok_or(ExchangeError::Unset(NO_TENANT))?;
    let client = application.client_id.as_ref().or(clouds.azure_client_id.as_ref());
    let client = client.ok_or(ExchangeError::Unset(NO_CLIENT))?;
    let url = format!("{}/{tenant}/oauth2/v2.0/token", clouds.azure_authority_host.trim_end_matches('/'));
    let scope = scope(&clouds.azure_authority_host);
    let mut fields = vec![("client_id", client.as_str()), ("scope", scope), ("grant_type", "client_credentials")];
    let assertion;
    if let Some(secret) = &application.client_secret {
        fields.push(("client_secret", secret.expose()));
    } else {
        let file = clouds.azure_federated_token_file.as_ref().ok_or(ExchangeError::Unset(NO_FILE))?;
        // Read each time: the kubelet replaces it.
        assertion = read(file).await?;
        fields.extend([("client_assertion_type", ASSERTION), ("client_assertion", assertion.as_str())]);
    }
    bearer(&exchange.ask(Ask::form(url, &fields)).await?)
}

/// Azure's models, in the cloud whose Entra is at this address.
fn scope(authority: &str) -> &'static str {
    let host = authority.split_once("://").map_or(authority, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    match host {
        "login.microsoftonline.us" => "https://cognitiveservices.azure.us/.default",
        "login.chinacloudapi.cn" | "login.partner.microsoftonline.cn" => "https://cognitiveservices.azure.cn/.default",
        _ => "https://cognitiveservices.azure.com/.default",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_a_scope_of_its_own() {
        for (authority, expected) in [
            ("https://login.microsoftonline.com", "https://cognitiveservices.azure.com/.default"),
            ("https://login.microsoftonline.us/", "https://cognitiveservices.azure.us/.default"),
            ("https://login.chinacloudapi.cn", "https://cognitiveservices.azure.cn/.default"),
            ("https://login.partner.microsoftonline.cn/", "https://cognitiveservices.azure.cn/.default"),
            ("http://127.0.0.1:8080/login.microsoftonline.us", "https://cognitiveservices.azure.com/.default"),
        ] {
            assert_eq!(scope(authority), expected, "{authority}");
        }
    }
}
