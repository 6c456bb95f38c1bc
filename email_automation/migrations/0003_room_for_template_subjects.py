from django.db import migrations, models


class Migration(migrations.Migration):
    """A mail's subject has at most 200 characters; the template that chooses between several has more."""

    dependencies = [("email_automation", "0002_transactional_mail")]

    operations = [
        migrations.AlterField(
            model_name="emailtemplate",
            name="subject",
            field=models.CharField(max_length=1000),
        ),
        migrations.AlterField(
            model_name="historicalemailtemplate",
            name="subject",
            field=models.CharField(max_length=1000),
        ),
    ]
