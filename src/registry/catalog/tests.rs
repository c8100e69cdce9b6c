use async_trait::async_trait;

use super::*;

/// Builds nothing: for catalogs in which nothing changes.
pub(crate) struct Unbuilt;

#[async_trait]
impl<R: Send + Sync> Build<R> for Unbuilt {
    fn mark(&self) -> String {
        String::new()
    }

    fn secret(&self, _: &SecretRef) -> Result<Secret> {
        Err(Error::internal("nothing is built here"))
    }

    fn upstream(&self, _: &UpstreamDefinition, _: Option<Secret>) -> Result<Offer> {
        Err(Error::internal("nothing is built here"))
    }

    fn failing(&self, _: &UpstreamDefinition, _: Error) -> Offer {
        unreachable!("nothing is built here")
    }

    fn registry(&self, _: &RegistryDefinition, _: Policy, _: Vec<Member>, _: Vec<(String, Arc<dyn Sumdb>)>) -> R {
        unreachable!("nothing is built here")
    }

    async fn admit(&self, _: &UpstreamDefinition) -> Result<()> {
        Err(Error::internal("nothing is built here"))
    }

    async fn test(&self, _: &UpstreamDefinition, _: Option<Secret>, _: Option<&ModulePath>) -> Result<Tested> {
        Err(Error::internal("nothing is built here"))
    }
}
