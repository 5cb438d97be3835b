"""Bridges to other event loops; see `tornadoc.platform.asyncio`."""
