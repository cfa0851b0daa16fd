"""A function that asks the database through Millpond.

Functions come and go by the thousand, each with a connection of its own; Millpond, running as a
service in the same network (see ../ecs-task.json and ../../kubernetes/standalone.yaml), is what
they connect to. Nothing here knows that: it is an ordinary driver at another address.
"""

import os

import pymysql

# Made once for each instance of the function, and used by all its invocations: cheap at Millpond,
# which keeps a few KiB for it and no connection to the database.
connection = None


def connect():
    global connection
    if connection is None or not connection.open:
        connection = pymysql.connect(
            host=os.environ["MILLPOND_HOST"],
            port=int(os.environ.get("MILLPOND_PORT", "3306")),
            user=os.environ["DB_USER"],
            password=os.environ["DB_PASSWORD"],
            database=os.environ["DB_NAME"],
            connect_timeout=2,
            # Longer than Millpond's borrow_timeout, so that its error is what one sees.
            read_timeout=8,
            autocommit=True,
        )
    # After a frozen instance wakes up, the connection may be gone.
    connection.ping(reconnect=True)
    return connection


def handler(event, context):
    with connect().cursor() as cursor:
        cursor.execute("SELECT name FROM products WHERE id = %s", (event["id"],))
        row = cursor.fetchone()
    return {"name": row[0] if row else None}
