"""The story through mysql-connector-python, MySQL's own driver."""

import mysql.connector

import story


class Connector(story.Driver):
    module = mysql.connector
    prepares = True

    def connect(self, where, **overrides):
        options = dict(
            host=where.host, port=where.port, user=where.user, password=where.password,
            database=where.database, allow_local_infile=True,
        )
        if where.tls == "off":
            options["ssl_disabled"] = True
        options.update(overrides)
        return mysql.connector.connect(**options)

    def streaming_cursor(self, connection):
        return connection.cursor(buffered=False)

    def prepared_cursor(self, connection):
        return connection.cursor(prepared=True)

    def call(self, cursor, name, arguments):
        yield story.plain(cursor.callproc(name, arguments))
        for result in cursor.stored_results():
            yield story.plain(result.fetchall())

    def thread_id(self, connection):
        return connection.connection_id

    def server_version(self, connection):
        return connection.server_info if hasattr(connection, "server_info") else connection.get_server_info()

    def reset(self, connection):
        connection.reset_session()

    def reconnect_as(self, connection, where):
        connection.cmd_change_user(where.user, where.password, where.database)


if __name__ == "__main__":
    story.main(Connector())
