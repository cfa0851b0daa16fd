"""The story through mysqlclient, which is libmariadb underneath."""

import MySQLdb
import MySQLdb.cursors
from MySQLdb.constants import CLIENT

import story


class MySqlClient(story.Driver):
    module = MySQLdb

    def connect(self, where, **overrides):
        options = dict(
            host=where.host, port=where.port, user=where.user, password=where.password,
            database=where.database, local_infile=1, client_flag=CLIENT.MULTI_STATEMENTS,
        )
        if where.tls == "on":
            options["ssl_mode"] = "REQUIRED"
        if where.tls == "off":
            options["ssl_mode"] = "DISABLED"
        options.update(overrides)
        return MySQLdb.connect(**options)

    def streaming_cursor(self, connection):
        return connection.cursor(MySQLdb.cursors.SSCursor)

    def reset(self, connection):
        return NotImplemented

    def reconnect_as(self, connection, where):
        connection.change_user(where.user, where.password, where.database)


if __name__ == "__main__":
    story.main(MySqlClient())
