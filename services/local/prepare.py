"""What has to be there before any service starts: the topics, and the database's tables. `tierline setup` and `up`."""

import asyncio
from typing import NamedTuple

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from services.local.errors import CannotStart
from services.notifier.store.migrate import migrate
from services.shared.kafka import Difference, KafkaUnavailable, TopicMismatch, create_topics, repair_topics
from services.shared.settings import KafkaSettings


class Prepared(NamedTuple):
    """created: the names of topics.  repaired: settings of topics that were not as they have to be"""

    created: list[str]
    repaired: list[Difference]


async def prepare(settings: KafkaSettings, database_url: str, *, repair: bool = False) -> Prepared:
    """Create missing topics, verify all, bring the tables up to date; says what was changed.

    repair: set what is wrong of topics that are there. CannotStart, with exit code 2 if a topic is not as it has to
    be (without `repair`), or if Kafka will not have us.
    """
    try:
        repaired = await asyncio.to_thread(repair_topics, settings) if repair else []
        created, _ = await asyncio.gather(asyncio.to_thread(create_topics, settings), migrate(database_url))
    except (TopicMismatch, KafkaUnavailable) as error:
        raise CannotStart(str(error), exit_code=error.exit_code) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError) as error:
        raise CannotStart(f"the database cannot be set up: {str(error).splitlines()[0]}") from error
    return Prepared(created, repaired)
