"""The story through PyMySQL."""

import pymysql
import pymysql.cursors
from pymysql.constants import CLIENT

import story


class PyMySql(story.Driver):
    module = pymysql

    def connect(self, where, **overrides):
        options = dict(
            host=where.host, port=where.port, user=where.user, password=where.password,
            database=where.database, local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS,
        )
        if where.tls == "on":
            options["ssl"] = {"check_hostname": False, "verify_mode": False}
        if where.tls == "off":
            options["ssl_disabled"] = True
        options.update(overrides)
        return pymysql.connect(**options)

    def streaming_cursor(self, connection):
        return connection.cursor(pymysql.cursors.SSCursor)

    def reset(self, connection):
        return NotImplemented

    def reconnect_as(self, connection, where):
        return NotImplemented


if __name__ == "__main__":
    story.main(PyMySql())
