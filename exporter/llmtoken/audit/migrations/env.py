"""What alembic runs: migrate over the connection that `llmtoken.audit.migrate` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,  # on SQLite too, because we begin the transaction ourselves
)
with context.begin_transaction():
    context.run_migrations()
