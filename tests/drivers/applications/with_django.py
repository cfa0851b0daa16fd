"""An ordinary application with Django's ORM."""

import sys

import django
from django.conf import settings

host, port, user, password, database = sys.argv[1:6]
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "HOST": host,
            "PORT": port,
            "USER": user,
            "PASSWORD": password,
            "NAME": database,
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.db import IntegrityError, connection, models, transaction  # noqa: E402


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)

    class Meta:
        app_label = "shop"


class Book(models.Model):
    title = models.CharField(max_length=100)
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
    added = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "shop"


with connection.schema_editor() as editor:
    editor.create_model(Author)
    editor.create_model(Book)
for number in range(20):
    # As after each request: the next one logs in again.
    connection.close()
    author = Author.objects.create(name=f"Författare {number}")
    Book.objects.bulk_create([Book(title="Första", author=author), Book(title="Andra", author=author)])
    with transaction.atomic():
        author.refresh_from_db()
        try:
            with transaction.atomic():
                Author.objects.create(name=author.name)
            raise AssertionError("a name twice")
        except IntegrityError:
            pass
        Book.objects.select_for_update().filter(author=author).update(title="Tredje")
    assert Author.objects.filter(name__startswith="F").count() == number + 1
    again, made = Author.objects.get_or_create(name=author.name)
    assert again.pk == author.pk and not made
titles = Book.objects.select_related("author").order_by("author__name").values_list("title", flat=True)
assert set(titles) == {"Tredje"} and len(titles) == 40
with connection.cursor() as cursor:
    cursor.execute("SELECT COUNT(*), MAX(added) FROM shop_book WHERE title = %s", ["Tredje"])
    assert cursor.fetchone()[0] == 40
assert Book.objects.all().delete()[0] == 40 and Author.objects.all().delete()[0] == 20
with connection.schema_editor() as editor:
    editor.delete_model(Book)
    editor.delete_model(Author)
connection.close()
print("# the end")
