"""What has to be there before any service starts: the topics, and the database's tables. `tierline setup` and `up`."""

import asyncio

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from services.local.errors import MISUSED, CannotStart
from services.notifier.store.migrate import migrate
from services.shared.kafka import KafkaUnavailable, TopicMismatch, create_topics
from services.shared.settings import KafkaSettings


async def prepare(settings: KafkaSettings, database_url: str) -> list[str]:
    """Create missing topics, verify all, bring the tables up to date; the names of the topics created.

    Changes nothing where all is there. CannotStart, with exit code 2 if a topic is not as it has to be.
    """
    try:
        make_url(database_url)
    except ArgumentError as error:
        wanted = "postgresql+asyncpg://user@host/name"
        raise CannotStart(f"DATABASE_URL is not an SQLAlchemy URL, as {wanted}", exit_code=MISUSED) from error
    try:
        created, _ = await asyncio.gather(asyncio.to_thread(create_topics, settings), migrate(database_url))
    except TopicMismatch as error:
        raise CannotStart(str(error), exit_code=MISUSED) from error
    except KafkaUnavailable as error:
        raise CannotStart(str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError) as error:
        raise CannotStart(f"the database cannot be set up: {str(error).splitlines()[0]}") from error
    return created
