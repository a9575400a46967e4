"""ClickHouse: migrations, rows, the sink that writes them and the one module that reads them."""
