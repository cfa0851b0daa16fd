<?php
// An ordinary application with PDO: statements prepared by the driver, and by the server.

[, $host, $port, $user, $password, $database] = $argv;

function must(bool $right, string $what): void
{
    if (!$right) {
        throw new RuntimeException($what);
    }
}

foreach ([true, false] as $emulated) {
    for ($request = 0; $request < 10; $request++) {
        $pdo = new PDO("mysql:host=$host;port=$port;dbname=$database;charset=utf8mb4", $user, $password, [
            PDO::ATTR_EMULATE_PREPARES => $emulated,
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::MYSQL_ATTR_INIT_COMMAND => "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'",
        ]);
        if ($request === 0) {
            $pdo->exec('DROP TABLE IF EXISTS orders');
            $pdo->exec('CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE, n INT)');
        }
        $insert = $pdo->prepare('INSERT INTO orders (name, n) VALUES (:name, :n)');
        $insert->execute(['name' => "beställning $request", 'n' => $request]);
        $id = (int) $pdo->lastInsertId();
        $read = $pdo->prepare('SELECT id, n FROM orders WHERE name = ?');
        $read->execute(["beställning $request"]);
        must((int) $read->fetch(PDO::FETCH_ASSOC)['id'] === $id, 'another id');
        $read->closeCursor();
        try {
            $insert->execute(['name' => "beställning $request", 'n' => 0]);
            must(false, 'a name twice');
        } catch (PDOException $error) {
            must($error->errorInfo[1] === 1062, $error->getMessage());
        }
        $pdo->beginTransaction();
        $update = $pdo->prepare('UPDATE orders SET n = n + 1 WHERE id = ?');
        $update->execute([$id]);
        must($update->rowCount() === 1, 'rows');
        $request % 2 ? $pdo->commit() : $pdo->rollBack();
        must((int) $pdo->query('SELECT COUNT(*) FROM orders')->fetchColumn() === $request + 1, 'count');
        $pdo = null;
    }
}
echo "# the end\n";
