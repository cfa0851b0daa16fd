"""An ordinary application with SQLAlchemy over PyMySQL: its pool, its ORM, its transactions."""

import sys

from sqlalchemy import ForeignKey, String, create_engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

host, port, user, password, database = sys.argv[1:6]


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(100))
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")


url = f"mysql+pymysql://{user}:{password}@{host}:{port}/{database}?charset=utf8mb4"
engine = create_engine(url, pool_size=4, pool_pre_ping=True)
Base.metadata.create_all(engine)
for number in range(20):
    with Session(engine) as session:
        author = Author(name=f"Författare {number}", books=[Book(title="Första"), Book(title="Andra")])
        session.add(author)
        session.commit()
        assert author.id and author.books[0].author_id == author.id
    with Session(engine) as session:
        session.add(Author(name=f"Författare {number}"))
        try:
            session.commit()
            raise AssertionError("a name twice")
        except IntegrityError:
            session.rollback()
        found = session.scalars(select(Author).where(Author.name.like("F%"))).all()
        assert len(found) == number + 1
        with session.begin_nested():
            found[0].books.append(Book(title="Tredje"))
        session.commit()
with engine.connect() as connection:
    assert connection.scalar(select(func.count()).select_from(Book)) == 60
    connection.execute(text("UPDATE books SET title = UPPER(title) WHERE id > :id"), {"id": 30})
    connection.commit()
# Two at a time, each at its own isolation level.
careful = engine.execution_options(isolation_level="SERIALIZABLE")
alone = engine.execution_options(isolation_level="AUTOCOMMIT")
with careful.connect() as first, alone.connect() as second:
    rows = first.scalar(select(func.count()).select_from(Author))
    assert second.scalar(select(func.count()).select_from(Author)) == rows == 20
Base.metadata.drop_all(engine)
engine.dispose()
print("# the end")
